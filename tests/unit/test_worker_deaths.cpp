// SPDX-License-Identifier: MIT
// Runners that die: who is charged, and what is said of it.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker deaths");

TEST_CASE("only the task that was running is charged; the rest goes back to the front") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 300);
  h.assign(2, 6);
  h.expect<StartRunner, RunTask, wire::Results>();  // 2, 3, 4 and 5 are in the channel, 6 is queued
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
  h.expect<StartRunner, RunTask>();
  h.died(1, 0);
  CHECK(h.take() == Actions{h.start(2)});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 1)});
}

TEST_CASE("a runner that breaks the rules before its task has begun charges nobody") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.event(RunnerBroken{1, "its runner sent a malformed message"});
  CHECK(h.take() == Actions{KillRunner{1, SIGKILL}});
  h.died(1, 0, SIGKILL);
  CHECK(h.take() == Actions{h.start(2)});
}

TEST_CASE("a program whose runners end one after another before they begin a task is refused") {
  Joined h;
  h.assign(1, 1);
  for (RunnerId runner = 1; runner <= 2; ++runner) {
    h.ready(runner);
    h.expect<StartRunner, RunTask>();
    h.died(runner, 0);
  }
  h.ready(3);
  h.expect<StartRunner, RunTask>();
  SUBCASE("and the reason says how the last of them ended") {
    h.event(RunnerBroken{3, "its runner sent a malformed message"});
    CHECK(h.take() == Actions{KillRunner{3, SIGKILL}});
    h.died(3, 0, SIGKILL);
    CHECK(h.take_error(1, wire::Outcome::cannot_start).message ==
          "3 runners of weft-runner in succession ended before they began a task; of the last: its runner "
          "sent a "
          "malformed message");
  }
  SUBCASE("but not if one of them has answered a task in between") {
    h.started(3, 1);
    h.finished(3, 1);
    h.assign(2, 2);
    h.expect<wire::Results, RunTask>();
    h.died(3, 1);
    CHECK(h.take() == Actions{h.start(4)});
    h.ready(4);
    h.expect<RunTask>();
    h.died(4, 0);
    CHECK(h.take() == Actions{h.start(5)});
  }
}

TEST_CASE("a page that was scribbled over still charges the first task") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.expect<StartRunner, RunTask>();
  h.died(1, 0xffff'ffff'ffff);
  CHECK(h.take_error(1, wire::Outcome::crashed).signal == SIGSEGV);
}

TEST_CASE("a page that lies charges the first task and no other") {
  Joined h;
  h.assign(1, 1);
  h.ready(1);
  h.finished(1, 1, 300);
  h.assign(2, 5);
  h.expect<StartRunner, RunTask, wire::Results>();
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
  h.expect<wire::Results>();
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

TEST_SUITE_END();

}  // namespace weft::worker
