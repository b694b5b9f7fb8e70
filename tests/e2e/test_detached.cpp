// SPDX-License-Identifier: MIT
// Detached tasks outlive their client and, with a journal (write-ahead log), the broker's kill -9; and the
// `weft` commands that query and control them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <ranges>
#include <set>
#include <thread>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long squares(long x) { return x * x; }
long sleeps(long ms) {
  usleep(static_cast<unsigned>(ms) * 1000);
  return ms;
}
std::string doubles(std::string text) { return text + text; }
long throws(long x) { throw std::runtime_error("no " + std::to_string(x)); }

const weft::TaskOptions kDetached{.label = "sweep", .detach = true};

/// A cluster with a journal in a directory of the test.
struct Journaled {
  TempDirectory temp;
  Cluster cluster;

  explicit Journaled(int workers = 1, std::vector<std::string> arguments = {})
      : cluster({.workers = workers, .broker_arguments = with_journal(std::move(arguments))}) {}
  std::string journal() const { return temp / "journal"; }
  std::vector<std::string> with_journal(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--journal", journal()});
    return arguments;
  }
  void crash_and_restart() {
    cluster.broker().kill();
    cluster.restart_broker();
  }
};

std::size_t blobs_in(const std::string& journal) {
  const std::filesystem::directory_iterator folder(journal + ".blobs");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

std::vector<long> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istream_iterator<long>(file), {}};
}

/// Overwrites bytes in the middle of a file, where the journal's rows are.
void spoil(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto size = static_cast<long>(file.tellg());
  for (long at = size / 3; at < size * 2 / 3; at += 512) {
    file.seekp(at);
    file.write("spoiled", 7);
  }
}

}  // namespace

TEST_CASE("without a journal a detached task is refused with a sentence, and needs a label") {
  Cluster cluster;
  weft::Client client(cluster.address());
  CHECK_THROWS_WITH_AS(client.with({.detach = true}),
                       "TaskOptions::detach needs a label, by which attach() finds the tasks again",
                       std::invalid_argument);
  auto future = client.with(kDetached).submit<squares>(3);
  CHECK_THROWS_AS(future.result(), weft::TaskUnschedulable);
  CHECK(future.error()->text().find("--journal FILE") != std::string::npos);
  CHECK_THROWS_WITH_AS(
      client.flush(),
      "a detached task was refused, and will not run: this broker keeps no journal, so that no "
      "task can outlive its client: start it with weft-broker --journal FILE",
      weft::Error);
  client.flush();  // the refusals were reported above
  Process program({binary("weft_e2e_program"), "quick", cluster.address()});
  CHECK(program.wait() == 0);
  CHECK(program.err().find(
            "weft: 3 detached tasks were refused, and will not run: this broker keeps no journal") == 0);
}

TEST_CASE("detached tasks survive the kill of their client and of the broker, and each runs once") {
  Journaled j(2);
  const std::string done = j.temp / "done";
  Process program({binary("weft_e2e_program"), "detach", j.cluster.address(), done});
  REQUIRE(program.prints("flushed"));
  program.kill();
  j.crash_and_restart();
  weft::Client client(j.cluster.address());
  auto futures = client.attach<long>("sweep");
  REQUIRE(futures.size() == 40);
  for (long i = 0; i < 40; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * i);
  std::vector<long> runs = lines_of(done);
  std::sort(runs.begin(), runs.end());
  CHECK(std::ranges::equal(runs, std::views::iota(0L, 40L)));
  CHECK(client.attach<long>("nothing of the kind").empty());
  // Fetched tasks leave nothing in the journal, and neither do programs, which go with the client's session:
  // a restarted broker waits for the session as long as a client waits for its broker.
  CHECK(eventually([&] { return client.attach<long>("sweep").empty(); }));
  CHECK(eventually([&] { return blobs_in(j.journal()) == 0; }, 90s));
}

TEST_CASE("whenever the broker is killed, what was flushed is there, once, with its value") {
  Journaled j;
  std::mt19937 random(20261123);
  std::multiset<long> expected;
  long next = 0;
  for (int round = 0; round < 6; ++round) {
    weft::Client client(j.cluster.address());
    const long end = next + 50;
    for (; next < end; ++next) {
      client.with(kDetached).submit<squares>(next);
      expected.insert(next * next);
    }
    client.with(kDetached).submit<sleeps>(1 + static_cast<long>(random() % 20));
    if (round % 2 == 0) client.flush();
    std::atomic<bool> killed = false;
    std::jthread killer([&, delay = random() % 15] {
      usleep(static_cast<unsigned>(delay) * 1000);  // at any point of the flush
      j.crash_and_restart();
      killed = true;
    });
    client.flush();  // must outlast the broker's death
    CHECK(eventually([&] { return killed.load(); }, 20s));
  }
  weft::Client client(j.cluster.address());
  auto futures = client.attach<long>("sweep");
  CHECK(futures.size() == expected.size() + 6);
  std::multiset<long> values;
  for (const auto& future : futures) values.insert(future.result());
  CHECK(std::includes(values.begin(), values.end(), expected.begin(), expected.end()));
}

TEST_CASE("large arguments, large results and failures of detached tasks survive as well") {
  Journaled j;
  {
    weft::Client client(j.cluster.address());
    client.with(kDetached).submit<doubles>(std::string(3'000'000, 'x'));
    client.with({.retries = 1, .label = "bad", .detach = true}).submit<throws>(7L);
  }  // ~Client waits until the tasks are in the journal
  CHECK(eventually([&] { return j.cluster.status("finished") == 2; }));
  j.crash_and_restart();
  weft::Client client(j.cluster.address());
  auto large = client.attach<std::string>("sweep");
  REQUIRE(large.size() == 1);
  CHECK(large[0].result() == std::string(6'000'000, 'x'));
  auto bad = client.attach<long>("bad");
  REQUIRE(bad.size() == 1);
  CHECK_THROWS_AS(bad[0].result(), weft::TaskFailed);
  CHECK(bad[0].error()->text().find("no 7") != std::string::npos);
}

TEST_CASE("what nobody fetches is dropped after --keep, and cancelling what was attached cancels it") {
  Journaled j(1, {"--keep", "0.3"});
  {
    weft::Client client(j.cluster.address());
    client.with(kDetached).submit<squares>(2);
    client.with({.label = "long", .detach = true}).submit<sleeps>(60'000);
  }
  weft::Client client(j.cluster.address());
  CHECK(eventually([&] { return client.attach<long>("sweep").empty(); }));
  auto running = client.attach<long>("long");
  REQUIRE(running.size() == 1);
  CHECK(eventually([&] { return running[0].state() == weft::TaskState::running; }));
  running[0].cancel();
  CHECK(eventually([&] { return j.cluster.status("slots_busy") == 0; }));
}

TEST_CASE("a damaged journal refuses to start and says how to salvage; salvage keeps what is whole") {
  Journaled j;
  {
    weft::Client client(j.cluster.address());
    for (long i = 0; i < 200; ++i) {
      client.with({.workers = {"nobody"}, .label = std::to_string(i), .detach = true}).submit<squares>(i);
      client.flush();  // one journal row for each task
    }
  }
  j.cluster.broker().signal(SIGTERM);
  REQUIRE(j.cluster.broker().wait() == 0);
  spoil(j.journal());
  Process refused({binary("weft-broker"), "--port", "0", "--journal", j.journal()});
  REQUIRE(refused.wait() == 1);
  CHECK(refused.err().find("--journal-salvage") != std::string::npos);
  Process salvaged({binary("weft-broker"), "--port", "0", "--journal", j.journal(), "--journal-salvage"});
  CHECK(salvaged.prints("serving on"));
}

TEST_CASE("a disk that is full refuses detached tasks with the reason, and everything else goes on") {
  TempDirectory temp;
  const std::string journal = temp / "journal";
  // The largest file that the broker may write: 1 MiB.
  Process broker({"/bin/sh", "-c",
                  "trap '' XFSZ; ulimit -f 2048; exec '" + binary("weft-broker") + "' --port 0 --journal '" +
                      journal + "'"});
  REQUIRE(broker.prints("serving on"));
  const std::string out = broker.out();
  const std::string address =
      out.substr(out.rfind('/') + 1, out.find('\n', out.rfind('/')) - out.rfind('/') - 1);
  Process worker({binary("weft-worker"), address, "--nprocs", "1"});
  weft::Client client(address);
  std::vector<weft::Future<weft::CommandResult>> futures;  // commands: they need no program in the directory
  for (int i = 0; i < 60; ++i) {
    futures.push_back(client.with({.workers = {"nobody"}, .label = "x", .detach = true})
                          .command({"cat"}, std::string(60'000, 'x')));
  }
  CHECK_THROWS_AS(client.flush(), weft::Error);
  const auto refused = [](const auto& future) {
    return future.done() && future.error()->text().find("journal cannot take it: ") != std::string::npos;
  };
  CHECK(std::ranges::count_if(futures, refused) > 20);
  auto ships = client.with(kDetached).submit<squares>(3);  // the program is larger than the limit
  CHECK(ships.error()->text().find("what it needs cannot be kept: ") == 0);
  CHECK(client.submit<squares>(12).result() == 144);
}

TEST_CASE("weft drain lets a worker finish and leave; nothing is charged or lost") {
  Cluster cluster({.workers = 2});
  weft::Client client(cluster.address());
  auto futures = client.with({.crash_limit = 1}).map<sleeps>(std::vector<long>(40, 50));
  CHECK(eventually([&] { return futures[3].state() != weft::TaskState::queued; }));
  const std::string name = client.cluster().workers.at(0).name;
  Process drain({binary("weft"), "drain", name, cluster.address()});
  CHECK(drain.wait() == 0);
  CHECK(drain.out().find("worker " + name + " has left") != std::string::npos);
  CHECK(client.gather(futures) == std::vector<long>(40, 50));
  CHECK(client.cluster().workers.size() == 1);
  Process nobody({binary("weft"), "drain", "nobody", cluster.address()});
  CHECK(nobody.wait() == 1);
  CHECK(nobody.err().find("no worker is called 'nobody': the workers here are ") != std::string::npos);
}

TEST_CASE("weft why says in a sentence why a task is where it is") {
  Cluster cluster({.nprocs = 1});
  weft::Client client(cluster.address());
  const auto why = [&](const std::string& task) {
    Process process({binary("weft"), "why", task, cluster.address()});
    process.wait();
    return process.out() + process.err();
  };
  auto running = client.submit<sleeps>(60'000);
  CHECK(eventually([&] { return running.state() == weft::TaskState::running; }));
  auto queued = client.submit<sleeps>(1);
  auto stuck = client.with({.resources = {{"gpu", 2}}}).submit<sleeps>(1);
  CHECK(eventually([&] { return cluster.status("queued") == 2; }));
  CHECK(why(running.id().text()).find("it has been running on worker ") == 0);
  CHECK(why(queued.id().text()).find("it has been waiting for a free slot for ") == 0);
  CHECK(why(stuck.id().text()) == "it waits: it needs gpu=2, and the most that a worker here has is 0\n");
  CHECK(why("nonsense").find("weft: 'nonsense' is not the name of a task") == 0);
  CHECK(why("00000000-3").find("weft: no client here has a session that begins with 00000000") == 0);
}
