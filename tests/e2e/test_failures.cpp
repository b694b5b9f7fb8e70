// SPDX-License-Identifier: MIT
// Functions that fail in every way: each harms only its own task, and the client learns what happened, where
// and why.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <weft/weft.hpp>

#include "tests/e2e/executions.hpp"
#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long fine(long x) { return x + 1; }
int throws_standard(int) { throw std::out_of_range("index 12 of 10"); }
int throws_int() { throw 42; }
int throws_long() { throw std::runtime_error(std::string(1'000'000, 'x')); }
int segfaults() {
  std::fputs("about to fall over\n", stderr);
  volatile int* nowhere = nullptr;
  return *nowhere;
}
int aborts() { std::abort(); }
int exits() { std::exit(3); }
int loops() {
  for (volatile bool forever = true; forever;) {
  }
  return 0;
}
int ignores_sigterm() {
  std::signal(SIGTERM, SIG_IGN);
  return loops();
}
int obeys_stop() {
  while (!weft::this_task::stop_requested()) usleep(1000);
  return 7;
}
std::size_t eats_memory() {
  std::size_t total = 0;
  for (;;) {
    auto* block = static_cast<char*>(std::malloc(16 << 20));
    std::memset(block, 1, 16 << 20);
    total += block[5];
    usleep(1000);
  }
  return total;
}
int closes_everything() {
  for (int fd = 0; fd < 1024; ++fd) close(fd);
  return 1;
}
int writes_everywhere() {
  const char garbage[] = "this is not msgpack, whatever you think it is";
  for (int fd = 0; fd < 256; ++fd) (void)!write(fd, garbage, sizeof garbage);
  return 1;
}
unsigned fails_until(unsigned attempt) {
  if (weft::this_task::attempt() < attempt) throw std::runtime_error("not yet");
  return weft::this_task::attempt();
}
int fail_on_first(int x) {
  if (weft::this_task::worker() == "worker-1") throw std::runtime_error("no space left on worker-1");
  usleep(20'000);
  return x;
}
unsigned crashes_until(unsigned attempt) {
  if (weft::this_task::attempt() < attempt) std::abort();
  return weft::this_task::attempt();
}

/// Succeeds; its runner dies soon afterwards.
long dies_afterwards(const std::string& executions) {
  weft::e2e::note_execution(executions, 1);
  usleep(200'000);
  std::thread([] {
    usleep(50'000);
    kill(getpid(), SIGKILL);
  }).detach();
  return 1;
}

/// The error of a future that must fail.
template <class R>
weft::TaskError error_of(const weft::Future<R>& future) {
  auto error = future.error();
  REQUIRE(error.has_value());
  return *error;
}

std::string text_of(const weft::TaskError& error) { return error.what(); }

}  // namespace

TEST_SUITE("failures") {
  TEST_CASE("an exception arrives with type, message, function and worker") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto future = client.submit<throws_standard>(1);
    const weft::TaskError error = error_of(future);
    CHECK(error.kind() == weft::TaskErrorKind::failed);
    CHECK(error.type() == "std::out_of_range");
    CHECK_MESSAGE(contains(text_of(error), "index 12 of 10"), text_of(error));
    CHECK_MESSAGE(contains(text_of(error), "throws_standard"), text_of(error));
    CHECK(error.worker() == "worker-1");
    CHECK(std::filesystem::is_directory(error.directory()));
    CHECK_MESSAGE(contains(text_of(error), " in " + error.directory() + ", attempt 1: "), text_of(error));
    CHECK_THROWS_AS(future.result(), weft::TaskFailed);
    CHECK_THROWS_AS(future.result(), weft::TaskFailed);  // and again, since the error stays
  }

  TEST_CASE("the error of a task that ran in a directory that it had asked for names that directory") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto there = client.with({.crash_limit = 1, .directory = cluster.directory()});
    const std::string place = " in " + cluster.directory().string() + ", attempt 1: ";
    for (const weft::TaskError& error :
         {error_of(there.submit<throws_standard>(1)), error_of(there.submit<segfaults>()),
          error_of(there.command({"./none"}))}) {
      CHECK(error.directory() == cluster.directory());
      CHECK_MESSAGE(contains(text_of(error), place), text_of(error));
    }
    // The scratch directory of a runner is removed with the runner, so the error names none.
    const weft::TaskError crash = error_of(client.with({.crash_limit = 1}).submit<segfaults>());
    CHECK(crash.directory().empty());
    CHECK_MESSAGE(contains(text_of(crash), "(" + crash.host() + "), attempt 1: "), text_of(crash));
  }

  TEST_CASE("what is not a std::exception, and a message of 1 MB, arrive as well") {
    Cluster cluster;
    weft::Client client(cluster.address());
    CHECK(error_of(client.submit<throws_int>()).type() == "int");
    const std::string text = text_of(error_of(client.submit<throws_long>()));
    CHECK(contains(text, "xxxx"));
    CHECK(text.size() < 100'000);
    CHECK_MESSAGE(contains(text, "1000000"), text.substr(text.size() - 300));
  }

  TEST_CASE("a crash is reported with its signal and last words, and its neighbours succeed") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto bad = client.with({.crash_limit = 2}).submit<segfaults>();
    auto good = client.map<fine>(std::views::iota(0L, 500L));
    const weft::TaskError error = error_of(bad);
    CHECK(error.kind() == weft::TaskErrorKind::crashed);
    CHECK_MESSAGE(contains(text_of(error), "SIGSEGV"), text_of(error));
    CHECK_MESSAGE(contains(text_of(error), "about to fall over"), text_of(error));
    CHECK(error.history().size() == 2);
    CHECK(error.attempt() == 2);
    CHECK(client.gather(good).back() == 500);
    CHECK_MESSAGE(contains(text_of(error_of(client.with({.crash_limit = 1}).submit<aborts>())), "SIGABRT"),
                  "");
    CHECK_MESSAGE(contains(text_of(error_of(client.with({.crash_limit = 1}).submit<exits>())), "3"), "");
  }

  TEST_CASE("a task that crashes is executed again until it succeeds or its limit is reached") {
    Cluster cluster;
    weft::Client client(cluster.address());
    CHECK(client.submit<crashes_until>(3U).result() == 3);
    CHECK(error_of(client.submit<crashes_until>(4U)).kind() == weft::TaskErrorKind::crashed);
  }

  TEST_CASE("retries execute a failed function again, after the delay") {
    Cluster cluster;
    weft::Client client(cluster.address());
    const auto begin = std::chrono::steady_clock::now();
    CHECK(client.with({.retries = 2, .retry_delay = 200ms}).submit<fails_until>(3U).result() == 3);
    CHECK(std::chrono::steady_clock::now() - begin >= 400ms);
    CHECK(error_of(client.with({.retries = 1}).submit<fails_until>(3U)).attempt() == 2);
  }

  TEST_CASE("where one of two workers fails everything, retries go to the other, and the bad one is named") {
    Cluster cluster({.workers = 2, .nprocs = 1});
    weft::Client client(cluster.address());
    auto patient = client.with({.retries = 1});
    CHECK(patient.submit<fail_on_first>(1).result() == 1);
    for (const auto delay : {0ms, 100ms}) {
      const auto futures =
          client.with({.retries = 1, .retry_delay = delay}).map<fail_on_first>(std::views::iota(0, 60));
      CHECK(client.gather(futures).size() == 60);
    }
    const std::string status = status_json(cluster.address());
    CHECK_MESSAGE(
        status.find("attempts failed, and few elsewhere: it gets nothing new for") != std::string::npos,
        status);
  }

  TEST_CASE("a function that loops for ever ends at its timeout, even when it ignores SIGTERM") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto loop = client.with({.timeout = 300ms}).submit<loops>();
    auto deaf = client.with({.timeout = 300ms}).submit<ignores_sigterm>();
    CHECK(error_of(loop).kind() == weft::TaskErrorKind::timeout);
    CHECK(error_of(deaf).kind() == weft::TaskErrorKind::timeout);
    CHECK(client.submit<fine>(1L).result() == 2);
  }

  TEST_CASE("cancelling a running task frees its slot whatever the function does") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto polite = client.submit<obeys_stop>();
    auto deaf = client.submit<ignores_sigterm>();
    REQUIRE(eventually([&] {
      return deaf.state() == weft::TaskState::running && polite.state() == weft::TaskState::running;
    }));
    auto queued = client.submit<fine>(1L);
    polite.cancel();
    deaf.cancel();
    CHECK(deaf.state() == weft::TaskState::cancelled);
    CHECK_THROWS_AS(polite.result(), weft::TaskCancelled);
    CHECK(queued.result() == 2);
    CHECK(eventually([&] { return cluster.status("slots_busy") == 0; }, 5s));
  }

  TEST_CASE("cancelling a queued task removes it, and cancelling a finished one does nothing") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto first = client.submit<obeys_stop>();
    auto second = client.submit<obeys_stop>();
    auto queued = client.submit<fine>(1L);
    queued.cancel();
    CHECK_THROWS_AS(queued.result(), weft::TaskCancelled);
    first.cancel();
    second.cancel();
    auto finished = client.submit<fine>(2L);
    CHECK(finished.result() == 3);
    finished.cancel();
    CHECK(finished.result() == 3);
    CHECK(eventually([&] { return cluster.status("queued") == 0; }));
  }

  TEST_CASE("a task that exceeds --memory-limit dies with limit and peak in its error") {
    Cluster cluster({.nprocs = 1, .worker_arguments = {"--memory-limit", "200M"}});
    weft::Client client(cluster.address());
    const std::string text = text_of(error_of(client.with({.crash_limit = 1}).submit<eats_memory>()));
    CHECK_MESSAGE(contains(text, "memory limit"), text);
    CHECK_MESSAGE(contains(text, "peak"), text);
    CHECK(client.submit<fine>(1L).result() == 2);
  }

  TEST_CASE("a runner that has died before its worker hears of its last answer takes nothing with it") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(cluster.address());
    client.gather(client.map<fine>(std::views::iota(0L, 200L)));  // short, so many are sent ahead
    const std::string executions = cluster.directory() / "executions";
    auto last_words = client.submit<dies_afterwards>(executions);
    auto behind = client.map<fine>(std::views::iota(0L, 300L));
    REQUIRE(eventually([&] { return !executions_in(executions).empty(); }));
    const auto runners = runners_of(cluster.worker().pid());
    cluster.worker().signal(SIGSTOP);
    for (const pid_t runner : runners) CHECK(eventually([&] { return !process_exists(runner); }));
    cluster.worker().signal(SIGCONT);
    CHECK(last_words.result() == 1);
    CHECK(client.gather(behind).back() == 300);
    CHECK(cluster.worker().running());
  }

  TEST_CASE("a task that closes or writes to all descriptors harms nobody") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto closing = client.with({.crash_limit = 1}).submit<closes_everything>();
    auto writing = client.with({.crash_limit = 1}).submit<writes_everywhere>();
    auto good = client.map<fine>(std::views::iota(0L, 100L));
    CHECK_FALSE(closing.error().has_value());
    CHECK_FALSE(writing.error().has_value());
    CHECK(client.gather(good).size() == 100);
    CHECK(cluster.worker().running());
  }

  TEST_CASE(
      "a task whose worker is missing waits, says why in status and log, and fails at its queue_timeout") {
    Cluster cluster({.broker_arguments = {}});
    weft::Client client(cluster.address());
    auto gpu = client.with({.resources = {{"gpu", 1}}, .label = "needs a gpu"}).submit<fine>(1L);
    auto elsewhere = client.with({.queue_timeout = 500ms, .workers = {"no-such-worker"}}).submit<fine>(1L);
    const weft::TaskError error = error_of(elsewhere);
    CHECK(error.kind() == weft::TaskErrorKind::unschedulable);
    CHECK_MESSAGE(contains(text_of(error), "no-such-worker"), text_of(error));
    CHECK(eventually([&] { return contains(status_json(cluster.address()), "gpu=1"); }));
    CHECK(cluster.broker().prints("gpu=1", 11s));
    cluster.add_worker({"--resources", "gpu=1"});
    CHECK(gpu.result() == 2);
  }
}
