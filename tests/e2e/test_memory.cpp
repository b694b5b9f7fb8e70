// SPDX-License-Identifier: MIT
// Backpressure: a worker that has used up its memory gets no new task; an argument that is larger than the
// memory is refused.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

namespace weft::e2e {
namespace {

/// Uses this much memory until `file` exists.
std::string fill_until(int mebibytes, std::string file) {
  const std::size_t bytes = static_cast<std::size_t>(mebibytes) << 20;
  const auto block = std::make_unique<char[]>(bytes);
  std::memset(block.get(), 1, bytes);
  while (!std::filesystem::exists(file)) usleep(10'000);
  return weft::this_task::worker();
}

/// Leaves memory allocated in the runner.
int leave_behind(int mebibytes) {
  static std::string kept;
  kept.assign(static_cast<std::size_t>(mebibytes) << 20, 'x');
  return getpid();
}

int process_id() { return getpid(); }
std::string where() { return weft::this_task::worker(); }
std::size_t length(std::string text) { return text.size(); }

}  // namespace

TEST_SUITE("memory") {
  TEST_CASE("above 90 % of its memory a worker gets nothing new until what uses it has ended") {
    Cluster cluster({.nprocs = 2, .worker_arguments = {"--name", "small", "--memory", "300M"}});
    weft::Client client(cluster.address());
    const std::string file = cluster.directory() / "release";
    auto filling = client.submit<fill_until>(270, file);
    REQUIRE(eventually(
        [&] { return contains(status_json(cluster.address()), "it takes nothing new: it has used"); }));

    auto waiting = client.with({.workers = {"small"}}).submit<where>();
    const auto why = [&] {
      Process process({binary("weft"), "why", waiting.id().text(), cluster.address()});
      process.wait();
      return process.out();
    };
    CHECK(eventually(
        [&] { return contains(why(), "it waits: worker small: it takes nothing new: it has used "); }));
    CHECK(contains(why(), "of its memory (--memory) of 300.0 MiB"));
    cluster.add_worker({"--name", "other"});
    for (int i = 0; i < 20; ++i) CHECK(client.submit<where>().result_for(20s) == "other");
    CHECK_FALSE((filling.done() || waiting.done()));

    std::ofstream(file) << "go";
    CHECK(filling.result_for(20s) == "small");
    CHECK(waiting.result_for(20s) == "small");
    CHECK(eventually([&] { return !contains(status_json(cluster.address()), "it takes nothing new"); }));
  }

  TEST_CASE("a runner that keeps what its task has allocated is replaced when memory is short") {
    Cluster cluster({.nprocs = 1, .worker_arguments = {"--memory", "300M"}});
    weft::Client client(cluster.address());
    const int first = client.submit<leave_behind>(270).result();
    CHECK(cluster.worker().prints("it has used "));
    CHECK(client.submit<process_id>().result() != first);
    CHECK(cluster.worker().prints("there is enough memory again"));
  }

  TEST_CASE(
      "an argument that is larger than the memory of each worker is refused; with a larger worker it runs") {
    Cluster cluster({.nprocs = 1, .worker_arguments = {"--name", "small", "--memory", "100M"}});
    weft::Client client(cluster.address());
    const std::string large(120 << 20, 'x');
    std::string text;
    // For a moment after the start of a broker, other workers may be about to come back, and the task waits.
    try {
      client.submit<length>(large).result();
    } catch (const weft::TaskUnschedulable& error) {
      text = error.text();
    }
    CHECK_MESSAGE(contains(text, "its argument of 120.0 MiB is larger than the memory of each worker"), text);
    CHECK_MESSAGE(contains(text, "the most being 100.0 MiB (worker small)"), text);
    CHECK(client.submit<length>(std::string(1 << 20, 'x')).result_for(20s) == 1 << 20);
    cluster.add_worker({"--name", "large", "--memory", "1G"});
    cluster.wait_for_slots(2);
    CHECK(client.submit<length>(large).result_for(60s) == large.size());
  }
}

}  // namespace weft::e2e
