// SPDX-License-Identifier: MIT
// Which task the worker core gives to which runner, and when; what it reports of running tasks.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker tasks");

TEST_CASE("a task starts a runner, runs in it, and its result is sent; the next finds it warm") {
  Joined h;
  h.assign(1, 1);
  CHECK(h.take() == Actions{h.start(1)});
  h.ready(1);
  CHECK(h.take() == Actions{h.run(1, 1, 1)});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(1, 1, true)});
  h.assign(2, 2);
  CHECK(h.take() == Actions{h.run(1, 2, 2)});
  h.finished(1, 2);
  CHECK(h.take() == Actions{h.result(2, 2)});
}

TEST_CASE("there are as many runners as tasks need, and never more than slots") {
  Joined h(2);
  h.assign(1, 3);
  CHECK(h.take() == Actions{h.start(1, 0), h.start(2, 1)});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 1)});
  h.ready(1);
  CHECK(h.take() == Actions{h.run(1, 1, 2)});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(1, 2, true), h.run(1, 2, 3)});
}

TEST_CASE("a task that is slow to start leaves its place to nobody: the ready runner takes the oldest") {
  Joined h(2);
  h.assign(1, 1);
  h.assign(2, 2);
  h.ready(1);
  h.finished(1, 1);
  h.ready(2);
  CHECK(h.take() ==
        Actions{h.start(1, 0), h.start(2, 1), h.run(1, 1, 1), h.result(1, 1, true), h.run(1, 2, 2)});
}

TEST_CASE("short tasks are queued in the runner's channel, long ones are not") {
  const WorkerCore::Settings settings = settings_of(1);
  const auto behind_max_us = static_cast<std::uint64_t>(settings.behind_max.count());
  Joined h(settings);
  h.assign(1, 1);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  SUBCASE("short: as many as take two milliseconds") {
    h.finished(1, 1, 500);
    h.expect<wire::Results>();
    h.assign(2, 9);
    CHECK(h.take() ==
          Actions{h.run(1, 2, 2), h.run(1, 3, 3), h.run(1, 4, 4), h.run(1, 5, 5), h.run(1, 6, 6)});
  }
  SUBCASE("no-ops: prefetch_max behind the one that runs") {
    h.finished(1, 1, 1);
    h.expect<wire::Results>();
    h.assign(2, 2 * settings.prefetch_max);
    CHECK(h.take().size() == settings.prefetch_max + 1);
  }
  SUBCASE("up to behind_max: a single one") {
    h.finished(1, 1, behind_max_us);
    h.expect<wire::Results>();
    h.assign(2, 9);
    CHECK(h.take() == Actions{h.run(1, 2, 2), h.run(1, 3, 3)});
    h.finished(1, 2, behind_max_us);
    CHECK(h.take() == Actions{h.result(2, 2, false, behind_max_us), h.run(1, 4, 4)});
  }
  SUBCASE("long") {
    h.finished(1, 1, behind_max_us + 1);
    h.expect<wire::Results>();
    h.assign(2, 9);
    CHECK(h.take() == Actions{h.run(1, 2, 2)});
  }
  SUBCASE("short, but the one that runs takes longer than they use to") {
    h.finished(1, 1, 250);
    h.assign(2, 2);
    h.expect<RunTask, wire::Results>();
    h.started(1, 2);
    h.advance(milliseconds(2));
    h.expect<wire::Started>();
    h.assign(3, 9);
    CHECK(h.take() == Actions{});
  }
}

TEST_CASE("one long task among short ones ends the queueing at once") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 2);
  h.finished(1, 2, 1'000'000);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.assign(3, 9);
  CHECK(h.take() == Actions{h.run(1, 3, 3)});
}

TEST_CASE("results of what happened together share a message") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 4);
  h.expect<StartRunner, RunTask, wire::Results>();
  Actions actions;
  const std::vector<Event> events = {TaskFinished{1, 2, wire::Outcome::ok, 100, wire::Payload("a"), 5000},
                                     TaskFinished{1, 3, wire::Outcome::ok, 100, wire::Payload("b"), 5000}};
  h.session.step(h.now, events, actions);
  REQUIRE(actions.size() == 1);
  const auto& results = std::get<wire::Results>(*std::get<Send>(actions[0]).message);
  CHECK(results.first == 2);
  CHECK(results.records.size() == 2);
}

TEST_CASE("what waits behind a task of some milliseconds is taken back when that takes twice as long") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 5000);
  h.assign(2, 3);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.started(1, 2);
  h.advance(milliseconds(9));
  CHECK(h.take() == Actions{});
  h.advance(milliseconds(1));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(2)}}}, TakeBackTasks{1}});
  h.event(TasksTakenBack{1, 2});
  h.revoke(3, wire::RevokeMode::retract);
  CHECK(h.take() == Actions{h.returned(3)});
}

TEST_CASE("STARTED comes when a task has run twice as long as others of its spec") {
  Joined h;
  std::uint64_t expected_us = 0;
  Duration told;
  SUBCASE("but not before 2 ms") {
    expected_us = 100;
    told = milliseconds(2);
  }
  SUBCASE("in between") {
    expected_us = 3000;
    told = milliseconds(6);
  }
  SUBCASE("at the latest after 10 ms") {
    expected_us = 15'000;
    told = milliseconds(10);
  }
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, expected_us);
  h.assign(2, 2);
  h.expect<StartRunner, RunTask, wire::Results>();
  CHECK(h.session.deadline() == h.now + told);  // the agent does not wake up before then
  h.started(1, 2);
  h.advance(told - microseconds(1));
  CHECK(h.take() == Actions{});
  h.advance(microseconds(1));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(2)}}}});
}

TEST_CASE("a task with a timeout is looked at in time, whatever is before it") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = 3;
  h.define(spec, 2);
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 8000);
  h.assign(2, 2, 2);
  h.finished(1, 2, 1000);
  h.assign(3, 3);
  h.expect<StartRunner, RunTask, wire::Results>();
  CHECK(h.session.deadline() == h.now + milliseconds(10));
  h.assign(4, 4, 2);
  CHECK(h.take().size() == 1);  // task 4 is in the channel
  CHECK(h.session.deadline() == h.now + milliseconds(2));
  h.advance(milliseconds(2));
  h.finished(1, 3, 500);
  h.started(1, 4);
  h.expect<wire::Results>();
  h.advance(milliseconds(3));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(4)}}}, RequestStop{1, 4}});
  h.finished(1, 4, 3000);
  h.expect<wire::Results>();
}

TEST_CASE("a runner that has nothing to do gets what waits in the channel of another") {
  Joined h(2);
  h.assign(1, 2);
  h.ready(1);
  h.ready(2);
  const auto ends = [&](std::uint64_t us) {
    h.finished(1, 1, us);
    h.finished(2, 1, us);
    h.assign(3, 5);
    h.expect<StartRunner, RunTask,
             wire::Results>();  // the first runner has tasks 3 and 5, the second has task 4
    h.finished(2, 2, us);
  };
  SUBCASE("when it would wait for long") {
    ends(5000);
    CHECK(h.take() == Actions{h.result(3, 4, false, 5000), TakeBackTasks{1}});
    h.event(TasksTakenBack{1, 2});
    CHECK(h.take() == Actions{h.run(2, 3, 5)});
  }
  SUBCASE("not when it begins in a moment") {
    ends(499);
    CHECK(h.take() == Actions{h.result(3, 4, false, 499)});
  }
  SUBCASE("not when it has begun by now") {
    ends(5000);
    h.expect<TakeBackTasks, wire::Results>();
    h.event(TasksTakenBack{1, 3});
    CHECK(h.take() == Actions{});
  }
}

TEST_CASE("what waits in a channel behind a task that is long after all is taken back") {
  Joined h(2);
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 2);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.assign(3, 5);  // a second runner starts for them; in that time they are known to be short
  CHECK(h.take() == Actions{h.start(2, 1), h.run(1, 3, 3), h.run(1, 4, 4), h.run(1, 5, 5)});
  h.started(1, 2);
  h.advance(milliseconds(2));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(2)}}}, TakeBackTasks{1}});
  SUBCASE("it goes to others, in its order") {
    h.event(TasksTakenBack{1, 2});
    CHECK(h.take() == Actions{});
    h.ready(2);
    CHECK(h.take() == Actions{h.run(2, 1, 3), h.run(2, 2, 4), h.run(2, 3, 5)});
    h.finished(1, 2, 100);
    h.assign(6, 6);
    CHECK(h.take() == Actions{h.result(2, 2, false, 100), h.run(1, 3, 6)});  // ordinals have no gap
  }
  SUBCASE("what had begun in that moment stays") {
    h.finished(1, 2, 100);
    h.ready(2);
    h.event(TasksTakenBack{1, 3});
    CHECK(h.take() == Actions{h.result(2, 2, false, 100), h.run(2, 1, 4), h.run(1, 4, 5)});
    h.finished(1, 3, 100);
    h.expect<wire::Results>();
  }
  SUBCASE("and can be given back to the broker") {
    h.event(TasksTakenBack{1, 2});
    h.revoke(4, wire::RevokeMode::retract);
    CHECK(h.take() == Actions{h.returned(4)});
  }
  SUBCASE("a cancelled one is answered") {
    h.revoke(4);
    CHECK(h.take() == Actions{});
    h.event(TasksTakenBack{1, 2});
    CHECK(h.take_error(4, wire::Outcome::cancelled).message == "cancelled before it started");
  }
  SUBCASE("the runner dies first: only the one that ran is charged") {
    h.died(1, 2);
    const Actions actions = h.take();
    REQUIRE(actions.size() >= 1);
    CHECK(h.error_in(actions[0], 2, wire::Outcome::crashed).signal == SIGSEGV);
    h.event(TasksTakenBack{1, 2});
    CHECK(h.take() == Actions{});
  }
}

TEST_CASE("STARTED is sent for a task that runs longer than the notice, and only for such") {
  Joined h;
  h.assign(1, 2);
  h.ready(1);
  h.finished(1, 1);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.started(1, 2);
  h.advance(milliseconds(1));
  CHECK(h.take() == Actions{});
  h.advance(milliseconds(1));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(2)}}}});
  h.advance(seconds(5));
}

TEST_CASE("a task that is in the channel but has not begun is not called started") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.advance(seconds(1));
  CHECK(h.take() == Actions{});
  h.started(1, 1);
  h.advance(milliseconds(12));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(1)}}}});
}

TEST_SUITE_END();

}  // namespace weft::worker
