// SPDX-License-Identifier: MIT
// Cancelled tasks, tasks that are taken back, timeouts, and the escalation from a request to SIGTERM and
// SIGKILL.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker stopping");

TEST_CASE("a queued task that is cancelled never starts") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.revoke(2);
  CHECK(h.take_error(2, wire::Outcome::cancelled).message == "cancelled before it started");
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(2, 1)});
}

TEST_CASE("a running task that is cancelled is asked, then terminated, then killed") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.revoke(1);
  CHECK(h.take() == Actions{RequestStop{1, 1}});
  h.revoke(1);  // a repeated REVOKE changes nothing
  SUBCASE("it obeys: the runner stays warm") {
    h.finished(1, 1);
    const Actions actions = h.take();
    REQUIRE(actions.size() == 2);
    h.error_in(actions[0], 1, wire::Outcome::cancelled);
    CHECK(actions[1] == h.run(1, 2, 2));
    h.advance(seconds(5));
    CHECK(h.take() == Actions{});
  }
  SUBCASE("it obeys SIGTERM") {
    h.advance(seconds(1));
    CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(1)}}}, KillRunner{1, SIGTERM}});
    h.died(1, 1, SIGTERM);
    const Actions actions = h.take();
    REQUIRE(actions.size() == 2);
    h.error_in(actions[0], 1, wire::Outcome::cancelled);
    CHECK(actions[1] == h.start(2));
  }
  SUBCASE("it obeys nothing") {
    h.advance(seconds(1));
    h.expect<KillRunner, wire::Started>();
    h.advance(seconds(1));
    CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
    h.died(1, 1, SIGKILL);
    h.error_in(h.take().at(0), 1, wire::Outcome::cancelled);
  }
}

TEST_CASE("a success that came before the cancellation stands") {
  Joined h;
  h.running(1);
  h.finished(1, 1);
  h.revoke(1);
  CHECK(h.take() == Actions{h.result(1, 1, true)});
}

TEST_CASE("a cancelled task behind another one in the channel waits for its turn") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.assign(2, 3);
  h.expect<RunTask>();
  h.revoke(3);
  CHECK(h.take() == Actions{});
  h.finished(1, 2, 100);
  CHECK(h.take() == Actions{RequestStop{1, 3}, h.result(2, 2, false, 100)});
  h.finished(1, 3, 100);
  h.take_error(3, wire::Outcome::cancelled);
}

TEST_CASE("a task that began while its runner was being killed for another is not charged") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 3);
  h.revoke(2);
  h.advance(seconds(1));  // SIGTERM is under way when task 2 returns
  h.expect<StartRunner, RunTask, RequestStop, KillRunner, wire::Results>();
  h.finished(1, 2, 100);
  h.take_error(2, wire::Outcome::cancelled);
  h.died(1, 3, SIGTERM);
  CHECK(h.take() == Actions{h.start(2)});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 3)});
}

TEST_CASE("retract gives back what has not started") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.revoke(2, wire::RevokeMode::retract);
  CHECK(h.take() == Actions{h.returned(2)});
  h.revoke(1, wire::RevokeMode::retract);
  CHECK(h.take() == Actions{});
  h.revoke(9, wire::RevokeMode::retract);  // an unknown task
  CHECK(h.take() == Actions{h.returned(9)});
}

TEST_CASE("a task that runs longer than its timeout is stopped the same way") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = 500;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.started(1, 1);
  h.advance(milliseconds(499));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(1)}}}});
  h.advance(milliseconds(1));
  CHECK(h.take() == Actions{RequestStop{1, 1}});
  SUBCASE("it returns too late") {
    h.finished(1, 1, 501'000);
    const auto info = h.take_error(1, wire::Outcome::timed_out);
    CHECK(info.message == "it ran longer than its timeout of 500 ms");
  }
  SUBCASE("it had returned in time") {
    h.finished(1, 1, 499'999);
    CHECK(h.take() == Actions{h.result(1, 1, true, 499'999)});
  }
  SUBCASE("it dies of it") {
    h.advance(seconds(2));
    CHECK(h.take() == Actions{KillRunner{1, SIGTERM}, KillRunner{1, SIGKILL}});
    h.died(1, 1, SIGKILL);
    h.take_error(1, wire::Outcome::timed_out);
  }
}

TEST_CASE("a crash of which the worker hears after the timeout, for it stood still, is a crash") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = 500;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.now += seconds(5);
  h.event(TaskStarted{1, 1, h.now - seconds(5)});
  h.expect<wire::Started, RequestStop>();
  h.died(1, 1);
  CHECK(h.take_error(1, wire::Outcome::crashed).signal == SIGSEGV);
}

TEST_SUITE_END();

}  // namespace weft::worker
