// SPDX-License-Identifier: MIT
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker session");

// ---- joining ----

TEST_CASE("a worker connects, says HELLO and is READY when it is welcome") {
  Harness h;
  h.session_hello(1);
  h.event(Tick{});
  CHECK(h.take() == Actions{OpenLink{}});
  h.event(LinkUp{});
  CHECK(h.take() == Actions{Send{settings_of(1).hello}});
  h.welcome();
  CHECK(h.take() == Actions{Send{wire::Ready{}}});
  CHECK(h.last_log == "joined the broker at 127.0.0.1:8786, epoch 0000000000000007, with 1 slot as w1");
}

TEST_CASE("a worker without a broker says for whom it waits, and keeps trying") {
  Harness h;
  h.event(Tick{});
  CHECK(h.take() == Actions{OpenLink{}});
  h.event(LinkDown{"connection refused"});
  h.skip();
  CHECK(h.last_log.starts_with(
      "waiting for a broker at 127.0.0.1:8786 (connection refused), trying again in 0."));
  h.advance(seconds(1));
  CHECK(h.take() == Actions{OpenLink{}});
  h.advance(seconds(3));  // neither up nor down: given up, and tried again after a while
  CHECK(h.take() == Actions{CloseLink{}, OpenLink{}});
  CHECK(h.last_log.find("no answer") != std::string::npos);
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

// ---- tasks and runners ----

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
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.skip();
  SUBCASE("short: as many as take two milliseconds") {
    h.finished(1, 1, 500);
    h.skip();
    h.assign(2, 9);
    CHECK(h.take() ==
          Actions{h.run(1, 2, 2), h.run(1, 3, 3), h.run(1, 4, 4), h.run(1, 5, 5), h.run(1, 6, 6)});
  }
  SUBCASE("no-ops: a thousand") {
    h.finished(1, 1, 1);
    h.skip();
    h.assign(2, 2000);
    CHECK(h.take().size() == 1001);
  }
  SUBCASE("up to twenty milliseconds: a single one") {
    h.finished(1, 1, 20'000);
    h.skip();
    h.assign(2, 9);
    CHECK(h.take() == Actions{h.run(1, 2, 2), h.run(1, 3, 3)});
    h.finished(1, 2, 20'000);
    CHECK(h.take() == Actions{h.result(2, 2, false, 20'000), h.run(1, 4, 4)});
  }
  SUBCASE("long") {
    h.finished(1, 1, 20'001);
    h.skip();
    h.assign(2, 9);
    CHECK(h.take() == Actions{h.run(1, 2, 2)});
  }
  SUBCASE("short, but the one that runs takes longer than they use to") {
    h.finished(1, 1, 250);
    h.assign(2, 2);
    h.skip();
    h.started(1, 2);
    h.advance(milliseconds(2));
    h.skip();
    h.assign(3, 9);
    CHECK(h.take() == Actions{});
  }
  h.skip();
}

TEST_CASE("one long task among short ones ends the queueing at once") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 2);
  h.finished(1, 2, 1'000'000);
  h.skip();
  h.assign(3, 9);
  CHECK(h.take() == Actions{h.run(1, 3, 3)});
}

TEST_CASE("results of what happened together share a message") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 100);
  h.assign(2, 4);
  h.skip();
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
  h.skip();
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
  h.skip();
  CHECK(h.session.deadline() == h.now + told);  // the agent does not wake to look before
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
  h.skip();
  CHECK(h.session.deadline() == h.now + milliseconds(10));
  h.assign(4, 4, 2);
  CHECK(h.take().size() == 1);  // it is in the channel
  CHECK(h.session.deadline() == h.now + milliseconds(2));
  h.advance(milliseconds(2));
  h.finished(1, 3, 500);
  h.started(1, 4);
  h.skip();
  h.advance(milliseconds(3));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(4)}}}, RequestStop{1, 4}});
  h.finished(1, 4, 3000);
  h.skip();
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
    h.skip();  // the first runner has tasks 3 and 5, the second has task 4
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
    h.skip();
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
  h.skip();
  h.assign(3, 5);  // a second runner is started for them, and meanwhile they are short
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
    h.skip();
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
  h.skip();
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
  h.skip();
  h.advance(seconds(1));
  CHECK(h.take() == Actions{});
  h.started(1, 1);
  h.advance(milliseconds(12));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(1)}}}});
}

TEST_CASE("a task that must be alone gets a fresh runner, which ends after it") {
  Joined h;
  h.running(1);
  h.finished(1, 1);
  h.skip();
  auto alone = h.record(2);
  alone.alone = true;
  h.receive(wire::Assign{kAda, {alone, h.record(3)}});
  CHECK(h.take() == Actions{h.run(1, 2, 3)});  // the warm one is of no use to it
  h.finished(1, 2);
  CHECK(h.take() == Actions{h.result(2, 3), EndRunner{1}});
  h.died(1, 2, 0);
  CHECK(h.take() == Actions{h.start(2)});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 2)});
  h.assign(4, 4);
  CHECK(h.take() == Actions{});
  h.finished(2, 1);
  CHECK(h.take() == Actions{EndRunner{2}, h.result(3, 2)});
  h.died(2, 1, 0);
  CHECK(h.take() == Actions{h.start(3)});
}

TEST_CASE("a task of several threads starts when it has its slots, which younger ones leave to it") {
  Joined h(3);
  wire::TaskSpec wide = library_spec();
  wide.threads = 2;
  h.define(wide, 2);
  h.assign(1, 2);
  h.assign(3, 3, 2);
  h.assign(4, 5);
  for (RunnerId runner = 1; runner <= 3; ++runner) h.ready(runner);
  CHECK(h.take() == Actions{h.start(1, 0), h.start(2, 1), h.start(3, 2), h.run(1, 1, 1), h.run(2, 1, 2)});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(1, 1, true), h.run(1, 1 + 1, 3, wide)});
  h.finished(2, 1);
  CHECK(h.take() == Actions{h.result(2, 2), h.run(2, 2, 4)});
  h.finished(1, 2);
  CHECK(h.take() == Actions{h.result(3, 3), h.run(1, 3, 5)});
  h.finished(1, 3);
  h.finished(2, 2);
  h.skip();
}

TEST_CASE("a runner that has run its number of tasks ends, and another one goes on") {
  WorkerCore::Settings settings = settings_of(1);
  settings.runner_max_tasks = 2;
  Joined h(settings);
  h.assign(1, 4);
  h.ready(1);
  CHECK(h.take() == Actions{h.start(1), h.run(1, 1, 1)});
  h.finished(1, 1, 10);  // short ones, which would all be in its channel at once
  CHECK(h.take() == Actions{h.result(1, 1, true, 10), h.run(1, 2, 2)});
  h.finished(1, 2, 10);
  CHECK(h.take() == Actions{EndRunner{1}, h.result(2, 2, false, 10)});
  h.died(1, 2, 0);
  h.ready(2);
  CHECK(h.take() == Actions{h.start(2), h.run(2, 1, 3), h.run(2, 2, 4)});
  h.finished(2, 1, 10);
  h.finished(2, 2, 10);
  CHECK(h.take() == Actions{h.result(3, 3, false, 10), EndRunner{2}, h.result(4, 4, false, 10)});
  h.died(2, 2, 0);
}

TEST_CASE("with one task for each runner, the next one has a new process") {
  WorkerCore::Settings settings = settings_of(1);
  settings.runner_max_tasks = 1;
  Joined h(settings);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    h.assign(seq, seq);
    h.ready(seq);
    CHECK(h.take() == Actions{h.start(seq), h.run(seq, 1, seq)});
    h.finished(seq, 1, 10);
    CHECK(h.take() == Actions{EndRunner{seq}, h.result(seq, seq, seq == 1, 10)});
    h.died(seq, 1, 0);
  }
}

TEST_CASE("a runner that leaves since it cannot be put in order charges nobody") {
  Joined h;
  h.running(1);
  h.finished(1, 1, 10);
  h.assign(2, 4);
  h.skip();
  h.event(RunnerDied{1, 1, 0, runner::kExitReplace, "", "", 5000});
  CHECK(h.take() == Actions{h.start(2)});
  CHECK(h.last_log == "the runner in slot 0 has exited to be replaced, for the reason it has logged above");
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 2), h.run(2, 2, 3), h.run(2, 3, 4)});
}

TEST_CASE("an idle runner of another program makes room; a busy one does not") {
  Joined h;
  h.define(program_spec(1), 2);
  h.event(BlobReady{id_of<32>(1)});
  h.skip();
  h.running(1);
  h.assign(2, 2, 2);
  CHECK(h.take() == Actions{});
  h.finished(1, 1);
  CHECK(h.take() == Actions{h.result(1, 1, true), EndRunner{1}});
  SUBCASE("it leaves") {
    h.died(1, 1, 0);
    CHECK(h.take() == Actions{h.start(2, 0, program_spec(1))});
  }
  SUBCASE("it does not leave: SIGTERM, then SIGKILL") {
    h.advance(milliseconds(999));
    CHECK(h.take() == Actions{});
    h.advance(milliseconds(1));
    CHECK(h.take() == Actions{KillRunner{1, SIGTERM}});
    h.advance(seconds(1));
    CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
    h.died(1, 1, SIGKILL);
    CHECK(h.take() == Actions{h.start(2, 0, program_spec(1))});
  }
}

TEST_CASE("two programs in one slot: each keeps it for a while, then the older task has its turn") {
  Joined h;
  h.define(program_spec(1), 2);
  h.event(BlobReady{id_of<32>(1)});
  h.skip();
  h.running(1);
  h.assign(2, 2, 2);
  h.assign(3, 4);
  h.finished(1, 1);  // within its min_runner_lifetime: its own tasks first
  CHECK(h.take() == Actions{h.result(1, 1, true), h.run(1, 2, 3)});
  h.advance(milliseconds(51));
  h.finished(1, 2);
  CHECK(h.take() == Actions{h.result(2, 3), EndRunner{1}});
}

TEST_CASE("a warm runner stays while a session names its program, and for a while after that") {
  Joined h;
  h.running(1);
  h.finished(1, 1);
  h.receive(wire::Release{kAda, 1});
  h.skip();
  h.advance(seconds(100));
  CHECK(h.take() == Actions{});
  h.receive(wire::EndSession{kAda});
  h.event(Tick{});
  CHECK(h.take() == Actions{EndRunner{1}});
  h.died(1, 1, 0);
  CHECK(h.session.runner_count() == 0);
}

// ---- deaths ----

TEST_CASE("only the task that was running is charged; the rest goes back to the front") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 300);
  h.assign(2, 6);
  h.skip();  // 2, 3, 4 and 5 are in the channel, 6 is queued
  h.now += milliseconds(1);
  h.died(1, 2);
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  const auto info = h.error_in(actions[0], 2, wire::Outcome::crashed);
  CHECK(info.message == "its runner was killed by SIGSEGV (Segmentation fault)");
  CHECK(info.signal == SIGSEGV);
  CHECK(info.worker == "w1");
  CHECK(info.stderr_tail == "last words");
  CHECK(info.started_ms == 4999);
  CHECK(info.ended_ms == 5000);
  CHECK(actions[1] == h.start(2));
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 3), h.run(2, 2, 4), h.run(2, 3, 5), h.run(2, 4, 6)});
}

TEST_CASE("a runner that dies before its task has begun charges nobody") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.skip();
  h.died(1, 0);
  CHECK(h.take() == Actions{h.start(2)});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 1)});
}

TEST_CASE("a page that was scribbled over still charges the first task") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.skip();
  h.died(1, 0xffff'ffff'ffff);
  CHECK(h.take_error(1, wire::Outcome::crashed).signal == SIGSEGV);
}

TEST_CASE("a page that lies charges the first task and no other") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 300);
  h.assign(2, 5);
  h.skip();
  std::uint64_t says = 0;
  SUBCASE("nothing was begun, though the one before was answered") {}
  SUBCASE("the last of them was begun, though the first was not answered") { says = 5; }
  h.died(1, says);
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(h.error_in(actions[0], 2, wire::Outcome::crashed).signal == SIGSEGV);
  CHECK(actions[1] == h.start(2));
}

TEST_CASE("a runner that exits is told by its exit code") {
  Joined h;
  h.running(1);
  h.event(RunnerDied{1, 1, 0, 3, "", "", 5000});
  const auto info = h.take_error(1, wire::Outcome::crashed);
  CHECK(info.message == "its runner exited with code 3");
  CHECK(info.exit_code == 3);
}

TEST_CASE("an idle runner that dies costs nothing") {
  Joined h;
  h.running(1);
  h.finished(1, 1);
  h.skip();
  h.died(1, 1);
  CHECK(h.take() == Actions{});
  h.assign(2, 2);
  CHECK(h.take() == Actions{h.start(2)});
}

TEST_CASE("a runner that breaks the rules or its memory limit is killed, and its task learns why") {
  Joined h;
  h.running(1);
  h.event(RunnerBroken{1, "memory limit of 2.0 GiB exceeded: peak 2.1 GiB"});
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
  h.event(RunnerBroken{1, "memory limit of 2.0 GiB exceeded: peak 2.2 GiB"});
  CHECK(h.take() == Actions{});
  h.died(1, 1, SIGKILL);
  CHECK(h.take_error(1, wire::Outcome::crashed).message == "memory limit of 2.0 GiB exceeded: peak 2.1 GiB");
}

TEST_CASE("an answer out of turn is the end of a runner") {
  Joined h;
  h.running(1);
  h.finished(1, 2);
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
  h.died(1, 1, SIGKILL);
  CHECK(h.take_error(1, wire::Outcome::crashed).message == "its runner answered a task out of turn");
}

TEST_CASE("a failed task says where and when") {
  Joined h;
  h.running(1);
  wire::ErrorInfo thrown;
  thrown.type = "std::runtime_error";
  thrown.message = "no";
  thrown.directory = "/scratch/1";
  h.event(TaskFinished{1, 1, wire::Outcome::failed, 3000, wire::Payload(wire::encode_error(thrown)), 5000});
  const auto info = h.take_error(1, wire::Outcome::failed);
  CHECK(info.type == "std::runtime_error");
  CHECK(info.message == "no");
  CHECK(info.host == "host1");
  CHECK(info.directory == "/scratch/1");
  CHECK(info.started_ms == 4997);
}

TEST_CASE("a crashed task says where it ran if the directory has not gone with its runner") {
  Joined h;
  h.running(1);
  h.died(1, 1);
  CHECK(h.take_error(1, wire::Outcome::crashed).directory.empty());
  wire::TaskSpec spec = library_spec();
  spec.directory = "/data";
  h.define(spec, 2);
  h.assign(2, 2, 2);
  h.ready(2);
  CHECK(h.take() == Actions{h.start(2), h.run(2, 1, 2, spec)});
  h.started(2, 1);
  h.died(2, 1);
  CHECK(h.take_error(2, wire::Outcome::crashed).directory == "/data");
  spec.directory = "below/scratch";
  h.define(spec, 3);
  h.assign(3, 3, 3);
  h.ready(3);
  CHECK(h.take() == Actions{h.start(3), h.run(3, 1, 3, spec)});
  h.started(3, 1);
  h.died(3, 1);
  CHECK(h.take_error(3, wire::Outcome::crashed).directory.empty());
}

// ---- runners that do not start ----

TEST_CASE("a program that does not start fails its tasks with the reason, and is left alone for a while") {
  Joined h;
  h.assign(1, 2);
  CHECK(h.take() == Actions{h.start(1)});
  h.event(RunnerFailedToStart{1, "libfoo.so: cannot open"});
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(h.error_in(actions[0], 1, wire::Outcome::cannot_start).message == "libfoo.so: cannot open");
  CHECK(h.error_in(actions[1], 2, wire::Outcome::cannot_start).message == "libfoo.so: cannot open");
  h.advance(milliseconds(4999));
  h.assign(3, 3);
  CHECK(h.take_error(3, wire::Outcome::cannot_start).message == "libfoo.so: cannot open");
  h.advance(milliseconds(1));
  h.assign(4, 4);
  CHECK(h.take() == Actions{h.start(2)});
}

TEST_CASE("a runner that fails beside others that work fails nobody") {
  Joined h(2);
  h.running(1);
  h.assign(2, 2);
  CHECK(h.take() == Actions{h.start(2, 1)});
  h.event(RunnerFailedToStart{2, "fork: try again"});
  CHECK(h.take() == Actions{});
  SUBCASE("the other one takes the task") {
    h.finished(1, 1);
    CHECK(h.take() == Actions{h.result(1, 1, true), h.run(1, 2, 2)});
  }
  SUBCASE("or a second one is tried later") {
    h.advance(seconds(5));
    CHECK(h.take() == Actions{Send{wire::Started{kAda, {h.attempt(1)}}}, h.start(3, 1)});
  }
}

TEST_CASE("a runner that never gets ready is killed and counts as not started") {
  Joined h;
  h.assign(1, 1);
  h.skip();
  h.advance(seconds(10));
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
  h.ready(1);  // too late
  h.event(RunnerFailedToStart{1, "killed by signal 9"});
  CHECK(h.take_error(1, wire::Outcome::cannot_start).message.find("was not ready within 10 s") !=
        std::string::npos);
}

TEST_CASE("a function is found by its name and definition, wherever it is in the runner's table") {
  Joined h;
  h.define(program_spec(1), 2);
  h.event(BlobReady{id_of<32>(1)});
  h.assign(1, 1, 2);
  h.skip();
  SUBCASE("it is the second") {
    h.event(RunnerReady{1, {{"f", "int(int)"}, {"f", "long(long)"}}});
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    CHECK(std::get<RunTask>(actions[0]).function_index == 1);
    SUBCASE("and a runner with another table is not used") {
      h.died(1, 1);
      h.skip();
      h.assign(2, 2, 2);
      h.skip();
      h.event(RunnerReady{2, {{"f", "long(long)"}}});
      CHECK(h.take() == Actions{KillRunner{2, SIGKILL}});
      h.died(2, 0, SIGKILL);
      CHECK(h.take_error(2, wire::Outcome::cannot_start).message.find("'f' (int(int))") != std::string::npos);
    }
    SUBCASE("") {
      h.finished(1, 1);
      h.skip();
    }
  }
  SUBCASE("it is not there: other functions go on") {
    h.event(RunnerReady{1, {{"f", "int(int)"}, {"g", "long(long)"}}});
    const wire::ErrorInfo error = h.take_error(1, wire::Outcome::cannot_start);
    CHECK(error.type == wire::kMissingFunction);
    CHECK(error.message.starts_with("the function 'f' is not in program1 as it runs on this worker"));
    wire::TaskSpec other = program_spec(1);
    other.function = "g";
    h.define(other, 3);
    h.assign(2, 2, 3);
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    CHECK(std::get<RunTask>(actions[0]).function_index == 1);
    h.finished(1, 1);
    h.skip();
  }
}

TEST_CASE("a program for another processor is refused, its tasks go elsewhere uncharged") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.skip();
  const std::string words = std::string(runner::kInstructionSetWords) + "AVX-512";
  h.event(RunnerDied{1, 1, 0, runner::kExitInstructionSet, words, "", 5000});
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(h.error_in(actions[0], 1, wire::Outcome::cannot_start).stderr_tail == words);
  CHECK(h.error_in(actions[1], 2, wire::Outcome::cannot_start).message == words);
}

// ---- stopping ----

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
  h.revoke(1);  // once is enough
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
    h.skip();
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
  h.skip();
  h.assign(2, 3);
  h.skip();
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
  h.skip();
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
  h.revoke(9, wire::RevokeMode::retract);  // never heard of
  CHECK(h.take() == Actions{h.returned(9)});
}

TEST_CASE("a task that runs longer than its timeout is stopped the same way") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = 500;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.skip();
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

// ---- the outbox, and brokers that come and go ----

TEST_CASE("results are kept until they are released, and sent again on RESEND") {
  Joined h(2);
  h.assign(1, 3);
  h.ready(1);
  h.finished(1, 1);
  h.finished(1, 2);
  h.finished(1, 3);
  h.skip();
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
  h.skip();
  h.event(LinkDown{"the connection broke"});
  CHECK(h.take() == Actions{});
  CHECK(h.last_log == "lost the broker at 127.0.0.1:8786 (the connection broke), still holding 2 tasks");
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
  h.skip();
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
  h.skip();
  h.event(TaskStarted{1, 1, Time(Duration(INT64_MIN))});
  h.skip();
  h.advance(seconds(9));
  CHECK(h.take() == Actions{Send{wire::Started{
                        kAda, {Harness::attempt(1)}}}});  // its time is not over: it counts from its runner's
  h.advance(seconds(1));
  CHECK(h.take() == Actions{RequestStop{1, 1}});
  h.finished(1, 1, 1);
  h.skip();
}

TEST_CASE("the longest timeout there is never strikes") {
  Joined h;
  auto spec = library_spec();
  spec.timeout_ms = INT64_MAX;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.ready(1);
  h.started(1, 1);
  h.skip();
  h.advance(seconds(60));
  CHECK(h.take() == Actions{Send{wire::Started{kAda, {Harness::attempt(1)}}}});
  h.finished(1, 1);
  h.skip();
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
  h.skip();
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
  h.skip();
  h.finished(1, 2);
  CHECK(first_of_results() == 2);
}

TEST_CASE("a task of a spec that was never defined cannot start") {
  Joined h;
  h.assign(1, 1, 77);
  CHECK(h.take_error(1, wire::Outcome::cannot_start).message.find("spec 77") != std::string::npos);
}

// ---- leaving ----

TEST_CASE("a draining worker gives back what waits, finishes what runs, and leaves when all is released") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  h.event(Drain{});
  CHECK(h.take() == Actions{Send{wire::Draining{}}, h.returned(2)});
  h.assign(3, 3);  // it crossed
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
  h.skip();
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
      h.skip();
      if (comes_back) {  // in time: what runs may finish
        h.advance(seconds(5));
        h.connect();
        h.welcome();
        h.advance(seconds(60));
        CHECK(!h.session.exited());
        h.finished(1, 1);
        h.receive(wire::Release{kAda, 1});
        CHECK(h.session.exited());
        h.skip();
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
  h.skip();
  h.event(Stop{});
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}, Send{wire::Goodbye{"stopped by a second signal"}},
                            Exit{0, "stopped by a second signal"}});
}

TEST_SUITE_END();

}  // namespace weft::worker
