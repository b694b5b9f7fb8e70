// SPDX-License-Identifier: MIT
// At every named crash point a process dies by SIGKILL while tasks run and is started again; every task must
// be answered with the right value.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <ranges>
#include <weft/weft.hpp>

#include "common/system/crash_point.hpp"
#include "tests/e2e/executions.hpp"
#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

constexpr int kTasks = 400;
constexpr int kSlots = 2;  // of each worker

struct Point {
  std::string_view name;
  std::vector<int> passes;         // the process dies at the n-th pass
  std::string_view not_visited{};  // the reason, if the tests do not visit it
};

const std::vector<Point> kPoints = {
    {"broker.received", {1, 40, 100}},
    {"broker.stepped", {2, 40, 100}},
    {"broker.sent", {1, 30, 80}},
    {"worker.received", {1, 5, 40}},
    {"worker.stepped", {1, 30, 150}},
    {"worker.sent", {1, 5, 40}},
    {"worker.runner_forked", {1, 2}},
    {"worker.task_handed_over", {1, 40}},
    {"worker.result_read", {1, 40}},
    {"journal.before_commit", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.after_commit", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.rewriting", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.chunk_written", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.blob_synced", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.blob_named", {}, "visited with the journal alone, in test_journal_crash.cpp"},
    {"journal.blob_forgotten", {}, "visited with the journal alone, in test_journal_crash.cpp"},
};

struct Answer {
  int value = 0;
  int attempt = 0;
  MSGPACK_DEFINE(value, attempt)
};

/// Appends a line for each execution. Every seventh task needs a retry, which is not a charge for a crash.
Answer work(const std::string& executions, int number) {
  note_execution(executions, number);
  usleep(static_cast<useconds_t>(number % 4) * 2000);
  if (number % 7 == 0 && weft::this_task::attempt() == 1) throw std::runtime_error("not yet");
  return {number * 3, static_cast<int>(weft::this_task::attempt())};
}

int executions_without_crash(int number) { return number % 7 == 0 ? 2 : 1; }

struct Finished {
  int right = 0;    // answers
  int charges = 0;  // sum over all tasks
  bool operator==(const Finished&) const = default;
};

/// Runs tasks through an ordinary client. Throws what its futures throw.
Finished run_tasks(const std::string& address, const std::string& executions) {
  weft::Client client(address);
  auto futures = client.with({.retries = 1}).map<work>(weft::same(executions), std::views::iota(0, kTasks));
  Finished finished;
  for (int number = 0; number < kTasks; ++number) {
    const Answer answer = futures[static_cast<std::size_t>(number)].result();
    if (answer.value == number * 3) ++finished.right;
    finished.charges += answer.attempt - executions_without_crash(number);
  }
  return finished;
}

struct Visit {
  Cluster cluster{{.workers = 0, .nprocs = kSlots}};
  std::string executions = cluster.directory() / "executions";
  std::future<Finished> client;

  void start_client() {
    client = std::async(std::launch::async, [this] { return run_tasks(cluster.address(), executions); });
  }
  Finished finish() {
    REQUIRE(client.wait_for(60s) == std::future_status::ready);
    return client.get();
  }
};

Environment crash_at(std::string_view point, int passes) {
  return {{"WEFT_CRASH_AT", std::string(point) + ":" + std::to_string(passes)}};
}

/// The broker dies: assigned tasks go on, and none is started twice.
void visit_in_broker(std::string_view point, int passes) {
  Visit visit;
  Cluster& cluster = visit.cluster;
  cluster.broker().kill();
  cluster.restart_broker(crash_at(point, passes));
  for (int i = 0; i < 2; ++i) cluster.add_worker();
  visit.start_client();
  REQUIRE_MESSAGE(cluster.broker().wait(30s) == 128 + SIGKILL, cluster.broker().err());
  cluster.restart_broker();
  CHECK(visit.finish() == Finished{kTasks, 0});
  const auto times = executions_of(visit.executions);
  for (int number = 0; number < kTasks; ++number) {
    CAPTURE(number);
    CHECK(times.at(number) == executions_without_crash(number));
  }
}

/// One of two workers dies: only the tasks that it was running are charged.
void visit_in_worker(std::string_view point, int passes) {
  Visit visit;
  Cluster& cluster = visit.cluster;
  Process& victim = cluster.add_worker({}, crash_at(point, passes));
  cluster.add_worker();
  visit.start_client();
  REQUIRE_MESSAGE(victim.wait(30s) == 128 + SIGKILL, victim.err());
  cluster.add_worker({"--name", "worker-1"});
  const Finished finished = visit.finish();
  CHECK(finished.right == kTasks);
  CHECK(finished.charges <= kSlots);
  cluster.wait_for_slots(2 * kSlots);
}

}  // namespace

TEST_SUITE("crash points") {
  TEST_CASE("every crash point is visited, or it is said why not") {
    for (const std::string_view name : weft::kCrashPoints) {
      CAPTURE(name);
      CHECK(std::ranges::count(kPoints, name, &Point::name) == 1);
    }
    CHECK(kPoints.size() == weft::kCrashPoints.size());
    for (const Point& point : kPoints) {
      CAPTURE(point.name);
      CHECK(point.passes.empty() != point.not_visited.empty());
    }
  }

  TEST_CASE("a broker that dies at any of its crash points loses nothing and starts nothing twice") {
    for (const Point& point : kPoints) {
      if (!point.name.starts_with("broker.")) continue;
      for (const int passes : point.passes) {
        CAPTURE(point.name);
        CAPTURE(passes);
        visit_in_broker(point.name, passes);
      }
    }
  }

  TEST_CASE("a worker that dies at any of its crash points is charged what it ran, and no more") {
    for (const Point& point : kPoints) {
      if (!point.name.starts_with("worker.")) continue;
      for (const int passes : point.passes) {
        CAPTURE(point.name);
        CAPTURE(passes);
        visit_in_worker(point.name, passes);
      }
    }
  }
}
