// SPDX-License-Identifier: MIT
// PollPlan: which runners are polled in a turn, and when the next turn is due.
#include "worker/runners/poll_plan.hpp"

#include <doctest/doctest.h>

namespace weft::worker {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

RunnerMonitor runner_with(RunnerId id) {
  return RunnerMonitor({.id = id, .slot = 0, .program = "prog", .worker = "w1", .memory_limit = {}});
}

}  // namespace

TEST_SUITE("poll plan") {
  TEST_CASE("runners that are being polled or readable are checked in each turn, the others now and then") {
    PollPlan plan;
    RunnerMonitor quiet = runner_with(1);
    RunnerMonitor polled = runner_with(2);
    RunnerMonitor readable = runner_with(3);
    polled.keep_polling();
    readable.on_readable(RunnerSource::output);
    const Time start{seconds(100)};
    plan.begin_turn(start, true, 3);
    for (const RunnerMonitor* runner : {&quiet, &polled, &readable}) CHECK(plan.checks(*runner));
    plan.begin_turn(start + microseconds(2), false, 3);
    CHECK_FALSE(plan.checks(quiet));
    CHECK(plan.checks(polled));
    CHECK(plan.checks(readable));
    plan.begin_turn(start + microseconds(3), false, 3);  // a microsecond for each of three runners
    CHECK(plan.checks(quiet));
    plan.begin_turn(start + microseconds(5), false, 3);
    CHECK_FALSE(plan.checks(quiet));
    plan.begin_turn(start + microseconds(5), true, 3);  // the wait has timed out
    CHECK(plan.checks(quiet));
  }

  TEST_CASE("runners that cannot wake us are asked every two milliseconds") {
    PollPlan plan;
    const Time start{seconds(100)};
    plan.begin_turn(start, true, 1);
    CHECK(plan.deadline() == std::nullopt);
    plan.add_unpollable();
    plan.add_unpollable();
    CHECK(plan.deadline() == start + milliseconds(2));
    plan.remove_unpollable();
    plan.begin_turn(start + milliseconds(2), true, 1);
    CHECK(plan.deadline() == start + milliseconds(4));
    plan.remove_unpollable();
    CHECK(plan.deadline() == std::nullopt);
  }

  TEST_CASE("memory is measured every 100 ms while there are tasks") {
    PollPlan plan;
    const Time start{seconds(100)};
    CHECK_FALSE(plan.measures_memory(start, false));
    CHECK(plan.deadline() == std::nullopt);
    CHECK_FALSE(plan.measures_memory(start, true));  // the first tasks have only begun
    CHECK(plan.deadline() == start + milliseconds(100));
    CHECK_FALSE(plan.measures_memory(start + milliseconds(99), true));
    CHECK(plan.measures_memory(start + milliseconds(100), true));
    CHECK_FALSE(plan.measures_memory(start + milliseconds(150), true));
    CHECK(plan.deadline() == start + milliseconds(200));
    CHECK_FALSE(plan.measures_memory(start + milliseconds(200), false));
    CHECK(plan.deadline() == std::nullopt);
  }
}

}  // namespace weft::worker
