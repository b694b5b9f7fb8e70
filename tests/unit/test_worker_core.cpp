// SPDX-License-Identifier: MIT
// The worker core and its broker: joining, the outbox, restarts of the broker, leaving.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker session");

TEST_CASE("a worker connects, says HELLO and is READY when it is welcome") {
  Harness h;
  h.session_hello(1);
  h.event(Tick{});
  CHECK(h.take() == Actions{OpenLink{}});
  h.event(LinkUp{});
  CHECK(h.take() == Actions{Send{settings_of(1).hello}});
  h.welcome();
  CHECK(h.take() == Actions{Send{wire::Ready{}}});
  CHECK(
      h.noticed ==
      Notice{.kind = NoticeKind::broker_joined, .name = "127.0.0.1:8786", .place = "w1", .numbers = {7, 1}});
}

TEST_CASE("a worker without a broker says for whom it waits, and keeps trying") {
  Harness h;
  h.event(Tick{});
  CHECK(h.take() == Actions{OpenLink{}});
  h.event(LinkDown{"connection refused"});
  CHECK(h.take() == Actions{});
  CHECK(h.noticed.kind == NoticeKind::broker_awaited);
  CHECK(h.noticed.detail == "connection refused");
  CHECK(h.noticed.numbers[0] < 1'000'000);
  h.advance(seconds(1));
  CHECK(h.take() == Actions{OpenLink{}});
  h.advance(seconds(3));  // neither up nor down: given up, and tried again later
  CHECK(h.take() == Actions{CloseLink{}, OpenLink{}});
  CHECK(h.noticed.detail == "no answer");
}

TEST_CASE("a broker that refuses the name or the version ends the worker with its sentence") {
  Harness h;
  h.session_hello(1);
  h.connect();
  h.receive(wire::Refuse{wire::RefuseCode::name_taken, "w1 is taken"});
  CHECK(h.take() ==
        Actions{CloseLink{}, Exit{1, "the broker at 127.0.0.1:8786 refuses this worker: w1 is taken"}});
  CHECK(h.session.deadline() == std::nullopt);
}

TEST_CASE("a broker that does not know the worker any more is greeted on a new connection") {
  Joined h;
  h.receive(wire::Refuse{wire::RefuseCode::unknown_peer, "say HELLO"});
  CHECK(h.take() == Actions{CloseLink{}});
  h.join();
  CHECK(h.take() == Actions{Send{wire::Ready{}}});
}

TEST_CASE("a silent broker is left after interval times liveness") {
  Joined h;
  h.broker_beats = false;
  h.advance(milliseconds(2999));
  CHECK(h.take() == Actions{});
  h.advance(milliseconds(1));
  CHECK(h.take() == Actions{CloseLink{}});
}

TEST_CASE("heartbeats are sent only when nothing else was") {
  Joined h;
  Actions actions;
  h.session.step(h.now += milliseconds(999), Tick{}, actions);
  CHECK(actions == Actions{});
  h.session.step(h.now, Received{wire::Revoke{kAda, wire::RevokeMode::cancel, {h.attempt(9)}}}, actions);
  actions.clear();
  h.session.step(h.now += milliseconds(999), Tick{}, actions);
  CHECK(actions == Actions{});
  h.session.step(h.now += milliseconds(1), Tick{}, actions);
  CHECK(actions == Actions{Send{wire::Heartbeat{}}});
}

TEST_CASE("results are kept until they are released, and sent again on RESEND") {
  Joined h(2);
  h.assign(1, 3);
  h.ready(1);
  h.finished(1, 1);
  h.finished(1, 2);
  h.finished(1, 3);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.receive(wire::Resend{kAda});
  CHECK(h.take() == Actions{h.result(1, 1, true), h.result(2, 2), h.result(3, 3)});
  h.receive(wire::Release{kAda, 2});
  h.receive(wire::Resend{kAda});
  CHECK(h.take() == Actions{h.result(3, 3, true)});
  h.receive(wire::Release{kAda, 3});
  h.receive(wire::Resend{kAda});
  CHECK(h.take() == Actions{});
}

TEST_CASE("everything survives the broker: it is claimed from the next one with the old attempts") {
  Joined h;
  h.assign(1, 3);
  h.ready(1);
  h.finished(1, 1);
  h.started(1, 2);
  h.expect<StartRunner, RunTask, wire::Results>();
  h.event(LinkDown{"the connection broke"});
  CHECK(h.take() == Actions{});
  CHECK(h.noticed == Notice{.kind = NoticeKind::broker_lost,
                            .name = "127.0.0.1:8786",
                            .detail = "the connection broke",
                            .numbers = {2}});
  h.finished(1, 2);  // its result waits, task 3 runs
  CHECK(h.take() == Actions{h.run(1, 3, 3)});
  h.started(1, 3);
  h.join(8);
  CHECK(h.take() == Actions{Send{wire::Claims{kAda,
                                              {{3, {kEpoch, 103}, wire::ClaimState::running},
                                               {1, {kEpoch, 101}, wire::ClaimState::done},
                                               {2, {kEpoch, 102}, wire::ClaimState::done}}}},
                            Send{wire::Ready{}}, h.result(1, 1, true), h.result(2, 2)});
  h.finished(1, 3);
  CHECK(h.take() == Actions{h.result(3, 3)});
  h.define(library_spec());
  h.assign(4, 4);
  h.finished(1, 4);
  CHECK(h.take() == Actions{h.run(1, 4, 4), h.result(4, 4, false, 50'000, 8)});
}

TEST_CASE("a library under two names that does not come fails its task once") {
  Joined h;
  auto spec = program_spec(1);
  spec.libraries = {{"liba.so", id_of<32>(9), 10}, {"liba.so.1", id_of<32>(9), 10}};
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.event(BlobReady{id_of<32>(1)});
  h.expect<FindBlob>();
  h.event(BlobBad{id_of<32>(9), "disk full"});
  CHECK(h.take_error(1, wire::Outcome::not_fetched).message == "its program could not be fetched: disk full");
}

TEST_CASE("an attempt that is assigned again is ignored, answered or not") {
  Joined h;
  h.running(1);
  h.assign(1, 1);
  CHECK(h.take() == Actions{});
  h.finished(1, 1);
  CHECK(h.take() == Actions{Harness::result(1, 1, true)});
  h.assign(1, 1);
  CHECK(h.take() == Actions{});
  CHECK(h.session.task_count() == 0);
}

TEST_CASE("a page that says that a task began before its runner did is not believed") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = 10'000;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.event(TaskStarted{1, 1, Time(Duration(INT64_MIN))});
  h.advance(seconds(9));
  CHECK(h.take() == Actions{Send{wire::Started{
                        kAda, {Harness::attempt(1)}}}});  // its time is not over: it counts from its runner's
  h.advance(seconds(1));
  CHECK(h.take() == Actions{RequestStop{1, 1}});
  h.finished(1, 1, 1);
  h.expect<wire::Results>();
}

TEST_CASE("the longest timeout there is never strikes") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = INT64_MAX;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.started(1, 1);
  h.expect<StartRunner, RunTask>();
  h.advance(seconds(60));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {Harness::attempt(1)}}}});
  h.finished(1, 1);
  h.expect<wire::Results>();
}

TEST_CASE("the same task may be here twice, with different attempts") {
  Joined h(2);
  h.running(1);
  auto again = h.record(1);
  again.number = 500;
  h.receive(wire::Assign{kAda, {again, again}});
  h.ready(2);
  CHECK(h.take().size() == 2);
  h.revoke(1);
  CHECK(h.take() == Actions{RequestStop{1, 1}});
  h.finished(2, 1);
  CHECK(h.session.task_count() == 1);
  h.expect<wire::Results>();
}

TEST_CASE("the end of a session stops its tasks and drops everything of it") {
  Joined h;
  h.define(library_spec(), 1, kBob);
  h.running(1);
  h.assign(2, 2);
  h.assign(1, 1, 1, kBob);
  h.receive(wire::EndSession{kAda});
  CHECK(h.take() == Actions{RequestStop{1, 1}, h.returned(2)});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.returned(1), h.run(1, 2, 1, library_spec(), kBob)});  // the slot is free
  h.receive(wire::Resend{kAda});
  CHECK(h.take() == Actions{});
}

TEST_CASE("the results of a session that has come back are not numbered as those before its end") {
  Joined h;
  const auto first_of_results = [&] {
    std::uint64_t first = 0;
    for (const Action& action : h.take()) {
      const auto* send = std::get_if<Send>(&action);
      const auto* results = send != nullptr ? std::get_if<wire::Results>(&*send->message) : nullptr;
      if (results == nullptr) continue;
      CHECK(results->fresh);
      first = results->first;
    }
    return first;
  };
  h.running(1);
  h.finished(1, 1);
  CHECK(first_of_results() == 1);
  h.receive(wire::EndSession{kAda});
  h.define(library_spec());
  h.assign(2, 2);
  h.started(1, 2);
  h.expect<RunTask>();
  h.finished(1, 2);
  CHECK(first_of_results() == 2);
}

TEST_CASE("a task of a spec that was never defined cannot start") {
  Joined h;
  h.assign(1, 1, 77);
  CHECK(h.take_error(1, wire::Outcome::cannot_start).message.find("spec 77") != std::string::npos);
}

TEST_CASE("a draining worker gives back what waits, finishes what runs, and leaves when all is released") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.event(Drain{});
  CHECK(h.take() == Actions{Send{wire::Draining{}}, h.returned(2)});
  h.assign(3, 3);  // it crossed the DRAINING
  CHECK(h.take() == Actions{h.returned(3)});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(1, 1, true)});
  SUBCASE("released") {
    h.receive(wire::Release{kAda, 1});
    CHECK(h.take() == Actions{Send{wire::Goodbye{"drained"}}, Exit{0, "drained"}});
  }
  SUBCASE("not released: it has waited long enough") {
    h.advance(milliseconds(9999));
    CHECK(h.take() == Actions{});
    h.advance(milliseconds(1));
    CHECK(h.take() == Actions{Send{wire::Goodbye{"drained, but not every result has been fetched"}},
                              Exit{0, "drained, but not every result has been fetched"}});
  }
  SUBCASE("the broker comes back meanwhile") {
    h.event(LinkDown{"broke"});
    h.join(8);
    CHECK(h.take() == Actions{Send{wire::Claims{kAda, {{1, {kEpoch, 101}, wire::ClaimState::done}}}},
                              Send{wire::Ready{}}, Send{wire::Draining{}}, h.result(1, 1, true)});
  }
}

TEST_CASE("a worker with nothing to do leaves at once") {
  Joined h;
  h.event(Drain{});
  CHECK(h.take() == Actions{Send{wire::Draining{}}, Send{wire::Goodbye{"drained"}}, Exit{0, "drained"}});
}

TEST_CASE("a worker that never found a broker leaves at once") {
  Harness h;
  h.event(Tick{});
  h.expect<OpenLink>();
  h.event(Drain{});
  CHECK(h.take() == Actions{Exit{0, "drained"}});
}

TEST_CASE("a draining worker whose broker is gone waits for it as long as for results, whatever runs") {
  for (const bool drains_first : {false, true}) {
    for (const bool comes_back : {false, true}) {
      CAPTURE(drains_first);
      CAPTURE(comes_back);
      Joined h;
      h.running(1);
      if (drains_first) h.event(Drain{});
      h.event(LinkDown{"broke"});
      if (!drains_first) h.event(Drain{});
      h.expect_only<wire::Draining>();
      if (comes_back) {  // in time: what runs may finish
        h.advance(seconds(5));
        h.connect();
        h.welcome();
        h.advance(seconds(60));
        CHECK(!h.session.exited());
        h.finished(1, 1);
        h.receive(wire::Release{kAda, 1});
        CHECK(h.session.exited());
        h.expect<Exit, wire::Claims, wire::Draining, wire::Goodbye, wire::Ready, wire::Results>();
      } else {
        h.advance(milliseconds(9999));
        CHECK(!h.session.exited());
        h.advance(milliseconds(1));
        const Actions actions = h.take();
        REQUIRE(!actions.empty());
        CHECK(actions.back() ==
              Action(Exit{0, "there has been no broker at 127.0.0.1:8786 for 10 s; 1 task has not ended"}));
      }
    }
  }
}

TEST_CASE("the second signal means now") {
  Joined h;
  h.running(1);
  h.event(Drain{});
  h.expect<wire::Draining>();
  h.event(Stop{});
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}, Send{wire::Goodbye{"stopped by a second signal"}},
                            Exit{0, "stopped by a second signal"}});
}

TEST_SUITE_END();

}  // namespace weft::worker
