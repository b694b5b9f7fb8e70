// SPDX-License-Identifier: MIT
// Runners of the worker core: how many, for which program, how long they live; runners that do not start.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker runners");

TEST_CASE("a task that must be alone gets a fresh runner, which ends after it") {
  Joined h;
  h.running(1);
  h.finished(1, 1);
  h.expect<wire::Results>();
  auto alone = h.record(2);
  alone.alone = true;
  h.receive(wire::Assign{kAda, {alone, h.record(3)}});
  CHECK(h.take() == Actions{h.run(1, 2, 3)});  // task 2 cannot use the warm runner
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
  h.expect<wire::Results>();
}

TEST_CASE("a runner that has run its number of tasks ends, and another one goes on") {
  WorkerCore::Settings settings = settings_of(1);
  settings.runner_max_tasks = 2;
  Joined h(settings);
  h.assign(1, 4);
  h.ready(1);
  CHECK(h.take() == Actions{h.start(1), h.run(1, 1, 1)});
  h.finished(1, 1, 10);  // short tasks, which would otherwise all be in the channel at once
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
  h.expect<RunTask, wire::Results>();
  h.event(RunnerDied{1, 1, 0, runner::kExitReplace, "", "", 5000});
  CHECK(h.take() == Actions{h.start(2)});
  CHECK(h.noticed == Notice{.kind = NoticeKind::runner_replaced});
  h.ready(2);
  CHECK(h.take() == Actions{h.run(2, 1, 2), h.run(2, 2, 3), h.run(2, 3, 4)});
}

TEST_CASE("an idle runner of another program makes room; a busy one does not") {
  Joined h;
  h.define(program_spec(1), 2);
  h.event(BlobReady{id_of<32>(1)});
  h.expect<FindBlob>();
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
  h.expect<FindBlob>();
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
  h.expect<wire::Results>();
  h.advance(seconds(100));
  CHECK(h.take() == Actions{});
  h.receive(wire::EndSession{kAda});
  h.event(Tick{});
  CHECK(h.take() == Actions{EndRunner{1}});
  h.died(1, 1, 0);
  CHECK(h.session.runner_count() == 0);
}

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
  h.expect<StartRunner>();
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
  h.expect<StartRunner, FindBlob>();
  SUBCASE("it is the second") {
    h.event(RunnerReady{1, {{"f", "int(int)"}, {"f", "long(long)"}}});
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    CHECK(std::get<RunTask>(actions[0]).function_index == 1);
    SUBCASE("and a runner with another table is not used") {
      h.died(1, 1);
      h.expect<wire::Results>();
      h.assign(2, 2, 2);
      h.expect<StartRunner>();
      h.event(RunnerReady{2, {{"f", "long(long)"}}});
      CHECK(h.take() == Actions{KillRunner{2, SIGKILL}});
      h.died(2, 0, SIGKILL);
      CHECK(h.take_error(2, wire::Outcome::cannot_start).message.find("'f' (int(int))") != std::string::npos);
    }
    SUBCASE("") {
      h.finished(1, 1);
      h.expect<wire::Results>();
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
    h.expect<wire::Results>();
  }
}

TEST_CASE("a program for another processor is refused, its tasks go elsewhere uncharged") {
  Joined h;
  h.running(1);
  h.assign(2, 2);
  const std::string words = std::string(runner::kInstructionSetWords) + "AVX-512";
  h.event(RunnerDied{1, 1, 0, runner::kExitInstructionSet, words, "", 5000});
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(h.error_in(actions[0], 1, wire::Outcome::cannot_start).stderr_tail == words);
  CHECK(h.error_in(actions[1], 2, wire::Outcome::cannot_start).message == words);
}

TEST_SUITE_END();

}  // namespace weft::worker
