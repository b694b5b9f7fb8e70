// SPDX-License-Identifier: MIT
// A worker that is short of memory: its reports to the broker, the tasks that it returns, and how it
// recovers.
#include <algorithm>

#include "tests/unit/worker_harness.hpp"

namespace weft::worker {

namespace {

constexpr std::uint64_t kLimit = 1000;

/// Takes all actions; returns the last HEARTBEAT among them, if there was one.
std::optional<wire::Heartbeat> beat(Harness& h) {
  std::optional<wire::Heartbeat> last;
  for (const Action& action : h.unpacked()) {
    const auto* sent = std::get_if<Send>(&action);
    if (sent == nullptr) continue;
    if (const auto* heartbeat = std::get_if<wire::Heartbeat>(&*sent->message)) last = *heartbeat;
  }
  return last;
}

/// The shell reports the memory used, one second after the last report.
void used(Harness& h, std::uint64_t bytes) {
  h.now += seconds(1);
  h.receive(wire::Heartbeat{});
  h.event(MemoryUsed{bytes, kLimit, "its memory"});
}

const wire::Heartbeat kHolds{"it has used 93 % of its memory", 0};

}  // namespace

TEST_SUITE("worker session: memory") {
  TEST_CASE("above 90 % it holds, and below 85 % it takes tasks again") {
    Joined h;
    used(h, 900);
    CHECK(!beat(h));
    used(h, 930);
    CHECK(beat(h) == kHolds);
    used(h, 860);
    CHECK(!beat(h));
    SUBCASE("which its heartbeats say too") {
      h.advance(seconds(2));
      CHECK(beat(h) == wire::Heartbeat{"it has used 86 % of its memory", 0});
    }
    used(h, 849);
    CHECK(beat(h) == wire::Heartbeat{});
    h.advance(seconds(2));
    CHECK(beat(h) == wire::Heartbeat{});
  }

  TEST_CASE(
      "a hold has hysteresis, states a reason once for every 5 %, and lets one task in when nothing here "
      "could free memory") {
    MemoryHold hold({.above = 0.9, .below = 0.8, .patience = seconds(5)});
    const auto at = [&](int second, std::uint64_t used, bool idle) {
      return hold.on_memory(Time(seconds(second)), MemoryUsed{used, kLimit, "its memory"}, idle);
    };
    CHECK(at(1, 900, false) == MemoryHold::Change::none);
    CHECK(at(2, 910, false) == MemoryHold::Change::began);
    CHECK(hold.reason() == "it has used 91 % of its memory");
    CHECK(at(3, 930, false) == MemoryHold::Change::none);
    CHECK(hold.reason() == "it has used 91 % of its memory");
    CHECK(at(4, 970, true) == MemoryHold::Change::none);
    CHECK(hold.reason() == "it has used 97 % of its memory");
    CHECK(at(8, 970, true) == MemoryHold::Change::none);
    CHECK(at(9, 970, true) == MemoryHold::Change::one_task);
    CHECK(hold.heartbeat() == wire::Heartbeat{"it has used 97 % of its memory", 1});
    CHECK(at(10, 970, true) == MemoryHold::Change::none);
    SUBCASE("after that it ends where it began") { CHECK(at(11, 900, false) == MemoryHold::Change::ended); }
    SUBCASE("and a new one waits again") {
      CHECK(at(11, 900, false) == MemoryHold::Change::ended);
      CHECK(at(12, 910, false) == MemoryHold::Change::began);
      CHECK(at(13, 800, false) == MemoryHold::Change::none);
      CHECK(at(14, 799, false) == MemoryHold::Change::ended);
      CHECK(hold.heartbeat() == wire::Heartbeat{});
    }
  }

  TEST_CASE("a broker hears of it before READY") {
    Joined h;
    used(h, 930);
    h.event(LinkDown{"gone"});
    h.connect();
    h.welcome(kEpoch + 1);
    const Actions actions = h.unpacked();
    const auto at = [&](const Action& wanted) { return std::find(actions.begin(), actions.end(), wanted); };
    CHECK(at(Send{kHolds}) < at(Send{wire::Ready{}}));
    CHECK(at(Send{wire::Ready{}}) != actions.end());
  }

  TEST_CASE("what runs goes on, what has not started goes back") {
    Joined h(2);
    h.running(1);
    wire::TaskSpec wide = library_spec();
    wide.threads = 2;
    h.define(wide, 2);
    h.assign(2, 2, 2);  // waits for the slot of the first
    h.expect<StartRunner>();
    SUBCASE("to a broker that gives it to another") {
      used(h, 930);
      CHECK(h.take() == Actions{h.returned(2)});
      CHECK(h.session.task_count() == 1);
      h.finished(1, 1);
      CHECK(h.take() == Actions{h.result(1, 1, true)});
    }
    SUBCASE("but not to one that would send it again at once") {
      h.event(LinkDown{"gone"});
      h.connect();
      h.event(Received{wire::Welcome{kEpoch, 1000, 3, true, 0}, 2});
      h.expect<wire::Claims, wire::Ready>();
      used(h, 930);
      CHECK(h.take() == Actions{});
      CHECK(h.session.task_count() == 2);
      h.finished(1, 1);
      h.expect<RunTask, wire::Results>();
    }
  }

  TEST_CASE("a task that had been sent before the broker heard of it runs") {
    Joined h;
    used(h, 930);
    h.assign(1, 1);
    CHECK(h.take() == Actions{h.start(1)});
    h.ready(1);
    CHECK(h.take() == Actions{h.run(1, 1, 1)});
  }

  TEST_CASE("idle runners, which may keep what their tasks have allocated, are ended") {
    Joined h(2);
    h.assign(1, 2);
    h.ready(1);
    h.ready(2);
    h.finished(1, 1);
    h.expect<StartRunner, RunTask, wire::Results>();
    used(h, 930);
    CHECK(h.take() == Actions{EndRunner{1}});
    h.finished(2, 1);
    CHECK(h.take() == Actions{h.result(2, 2)});
    used(h, 930);
    CHECK(h.take() == Actions{EndRunner{2}});
    h.event(RunnerDied{1, 1, 0, 0, "", "", 5000});
    h.event(RunnerDied{2, 1, 0, 0, "", "", 5000});
    used(h, 300);
    CHECK(h.session.runner_count() == 0);
  }

  TEST_CASE("with nothing here for a while it takes one task at a time") {
    Joined h;
    for (int second = 0; second < 5; ++second) {
      used(h, 930);
      CHECK(beat(h).value_or(kHolds) == kHolds);
    }
    used(h, 930);
    CHECK(beat(h) == wire::Heartbeat{kHolds.hold, 1});
    h.assign(1, 1);
    h.ready(1);
    h.expect<StartRunner, RunTask>();
    used(h, 990);
    h.finished(1, 1);
    h.expect<wire::Results>();
    h.advance(seconds(1));
    CHECK(beat(h) == wire::Heartbeat{"it has used 99 % of its memory", 1});
    used(h, 500);
    CHECK(beat(h) == wire::Heartbeat{});
    used(h, 930);
    CHECK(beat(h) == kHolds);
  }

  TEST_CASE("with nothing here for a while it need not fall below 85 %") {
    Joined h;
    used(h, 930);
    for (int second = 0; second < 5; ++second) used(h, 880);
    used(h, 880);
    CHECK(beat(h) == wire::Heartbeat{});
  }

  TEST_CASE("while something runs here it takes no other, however long") {
    Joined h(2);
    h.running(1);
    for (int second = 0; second < 60; ++second) {
      used(h, 930);
      CHECK(beat(h).value_or(kHolds) == kHolds);
    }
  }
}

}  // namespace weft::worker
