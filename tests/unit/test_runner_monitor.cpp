// SPDX-License-Identifier: MIT
// RunnerMonitor: in which order it reads the sources of a runner, and which events follow.
#include <csignal>

#include "tests/unit/fake_runner.hpp"

namespace weft::worker {

// ---- order ----

TEST_SUITE_BEGIN("runner monitor");

TEST_CASE("a runner that has said nothing costs one read of its channel") {
  FakeRunner runner;
  runner.get_ready();
  runner.check();
  CHECK(runner.take_steps() == Strings{"message"});
  CHECK(runner.take_events() == Strings{});
}

TEST_CASE("a dead runner is read to its end, in the order of what it did, and then reaped") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.run(2);
  runner.begin(2, runner.now);
  runner.print("of the first");
  runner.print("!of the second");
  runner.channel.push_back(runner::TaskPrinted{.out = 1, .err = 0});
  runner.answer(1);
  runner.monitor.on_readable(RunnerSource::socket);
  runner.socket_open = false;
  runner.die(SIGSEGV, 0);
  runner.check();
  CHECK(runner.take_steps() ==
        Strings{"death", "socket", "all output", "message", "message", "message", "log", "page", "reap"});
  CHECK(runner.take_logged() == Strings{named(1, "of the first"), named(2, "!of the second")});
  CHECK(runner.take_events() ==
        Strings{"runner 7 finished 1, ok, 5 us, 1 B, at 1700000000000 ms",
                "runner 7 started 2 at 100000000 us",
                "runner 7 died: signal 11, code 0, started 2, tail '!of the second', reason '', at "
                "1700000000000 ms"});
}

TEST_CASE("a report of the reaper is not yet the end") {
  FakeRunner runner;
  runner.get_ready();
  runner.monitor.on_readable(RunnerSource::line);  // the runner names its pid
  runner.check();
  CHECK(runner.take_steps() == Strings{"death", "message"});
}

TEST_CASE("a source that is readable is read once") {
  FakeRunner runner;
  runner.get_ready();
  runner.print("hello");
  CHECK(runner.monitor.is_due());
  runner.check();
  CHECK(runner.take_steps() == Strings{"output", "message", "log"});
  CHECK(runner.take_logged() == Strings{"[-] hello"});
  runner.check();
  CHECK(runner.take_steps() == Strings{"message"});
}

TEST_CASE("a runner that sends without end gives way to others, and its output waits for its answers") {
  FakeRunner runner;
  runner.get_ready();
  for (std::size_t i = 0; i <= RunnerMonitor::kMessagesACheck; ++i)
    runner.channel.push_back(runner::TaskPrinted{});
  runner.print("one");
  runner.check();
  CHECK(runner.channel.size() == 1);
  CHECK(runner.take_steps().size() == 1 + RunnerMonitor::kMessagesACheck);
  CHECK(runner.take_logged() == Strings{});
  runner.print("two");
  runner.check();  // the lines that were read are logged first
  CHECK(runner.take_steps() == Strings{"message", "message", "log"});
  CHECK(runner.take_logged() == Strings{"[-] one"});
  runner.print("three");
  runner.check();
  CHECK(runner.take_logged() == Strings{"[-] two", "[-] three"});
}

// ---- waking ----

TEST_CASE("a runner is polled from the first reason to a wait that finds its channel empty") {
  RunnerMonitor monitor = a_monitor();
  CHECK_FALSE(monitor.is_due());
  CHECK(monitor.keep_polling());
  CHECK_FALSE(monitor.keep_polling());  // the runner is polled already
  CHECK(monitor.is_due());
  monitor.on_sleep(false);  // a message has arrived
  CHECK(monitor.is_being_polled());
  monitor.on_sleep(true);
  CHECK_FALSE(monitor.is_due());
  CHECK(monitor.keep_polling());
}

TEST_CASE("a runner whose socket is closed cannot wake us, but lives") {
  FakeRunner runner;
  runner.get_ready();
  CHECK_FALSE(runner.monitor.is_unpollable());
  runner.monitor.on_readable(RunnerSource::socket);
  runner.socket_open = false;
  runner.check();
  CHECK(runner.take_steps() == Strings{"socket", "message"});
  CHECK(runner.monitor.is_unpollable());
}

// ---- messages ----

TEST_CASE("a runner is ready when its function table is complete") {
  FakeRunner runner;
  runner.channel.push_back(runner::RunnerHello{.pid = 1, .total = 2, .functions = {{"f", ""}}});
  runner.check();
  CHECK_FALSE(runner.monitor.is_ready());
  CHECK(runner.take_events() == Strings{});
  runner.channel.push_back(runner::RunnerHello{.pid = 1, .total = 2, .functions = {{"g", ""}}});
  runner.check();
  CHECK(runner.monitor.is_ready());
  CHECK(runner.take_events() == Strings{"runner 7 is ready, 2 functions"});
}

TEST_CASE("a message out of turn breaks a runner") {
  FakeRunner runner;
  SUBCASE("an answer before HELLO") { runner.answer(1); }
  SUBCASE("a second HELLO") {
    runner.get_ready();
    runner.channel.push_back(runner::RunnerHello{.pid = 1, .total = 0, .functions = {}});
  }
  SUBCASE("a message that only the agent sends") {
    runner.get_ready();
    runner.channel.push_back(runner::RunnerWelcome{"w2"});
  }
  runner.check();
  CHECK(runner.take_events() == Strings{"runner 7 is broken: its runner sent a message out of turn"});
}

TEST_CASE("answers come in the order of their tasks") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.run(2);
  CHECK(runner.monitor.first_ordinal() == 1);
  CHECK(runner.monitor.last_ordinal() == 2);
  runner.answer(1);
  runner.channel.push_back(
      runner::TaskDone{.ordinal = 2, .outcome = wire::Outcome::failed, .payload = wire::Payload("why")});
  runner.check();
  CHECK(runner.take_events() == Strings{"runner 7 finished 1, ok, 5 us, 1 B, at 1700000000000 ms",
                                        "runner 7 finished 2, failed, 0 us, 3 B, at 1700000000000 ms"});
  CHECK_FALSE(runner.monitor.has_tasks());
}

TEST_CASE("an invalid answer breaks a runner, and its task is not answered") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner::TaskDone done{.ordinal = 1, .payload = wire::Payload("x")};
  SUBCASE("an outcome that only an agent gives") { done.outcome = wire::Outcome::crashed; }
  SUBCASE("a large error") {
    done.outcome = wire::Outcome::failed;
    done.large_bytes = 1;
  }
  SUBCASE("a large result without its memory") {
    done.large_bytes = 1;
    runner.right_size = false;
  }
  SUBCASE("a blob of somewhere else") { done.payload = wire::Payload(wire::BlobRef{}); }
  runner.channel.push_back(done);
  runner.check();
  CHECK(runner.take_events() == Strings{"runner 7 is broken: its runner sent an invalid answer"});
  CHECK(runner.monitor.has_tasks());
}

TEST_CASE("nothing is read behind a malformed message") {
  FakeRunner runner;
  runner.get_ready();
  runner.garbage = "a message of impossible size";
  runner.check();
  CHECK(runner.take_steps() == Strings{"message"});
  CHECK(runner.take_events() == Strings{"runner 7 is broken: its runner sent a malformed message: a message "
                                        "of impossible size"});
  runner.print("help");
  runner.check();
  CHECK(runner.take_steps() == Strings{"output", "log"});
  CHECK(runner.take_logged() == Strings{"[-] help"});
  CHECK(runner.take_events() == Strings{});
}

TEST_CASE("a runner is reported as broken once, and not when it was told to end") {
  FakeRunner runner;
  runner.get_ready();
  SUBCASE("twice") {
    runner.monitor.on_unreadable_result("no memory", runner.events);
    CHECK(runner.take_events() == Strings{"runner 7 is broken: its result cannot be read: no memory"});
  }
  SUBCASE("told to end") { runner.monitor.on_end(); }
  runner.garbage = "noise";
  runner.check();
  CHECK(runner.take_events() == Strings{});
}

// ---- tasks ----

TEST_CASE("the start of a task is reported once, and not later than now") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.run(2);
  runner.check();
  CHECK(runner.take_steps() == Strings{"message", "page"});
  CHECK(runner.take_events() == Strings{});
  runner.begin(1, runner.now + seconds(1));  // a task can write anything to the page
  runner.check();
  CHECK(runner.take_events() == Strings{"runner 7 started 1 at 100000000 us"});
  runner.steps.clear();
  runner.check();
  CHECK(runner.take_steps() == Strings{"message"});
  runner.begin(2, runner.now - microseconds(3));
  runner.answer(1);
  runner.check();
  CHECK(runner.take_events() == Strings{"runner 7 finished 1, ok, 5 us, 1 B, at 1700000000000 ms",
                                        "runner 7 started 2 at 99999997 us"});
}

TEST_CASE("a page that shows another task than the front one starts nothing") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.run(2);
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{2}, UINT64_MAX}) {
    runner.begin(page, runner.now);
    runner.check();
    CHECK(runner.take_events() == Strings{});
  }
}

TEST_CASE("tasks that were taken back are not waited for, and the next ordinal follows the last one kept") {
  FakeRunner runner;
  runner.get_ready();
  for (std::uint64_t ordinal = 1; ordinal <= 4; ++ordinal) runner.run(ordinal);
  runner.monitor.on_taken_back(2);
  CHECK(runner.monitor.last_ordinal() == 2);
  runner.run(3);
  CHECK(runner.monitor.last_ordinal() == 3);
  runner.monitor.on_taken_back(0);
  CHECK_FALSE(runner.monitor.has_tasks());
}

// ---- output ----

TEST_CASE("output has the name of the task that printed it") {
  FakeRunner runner;
  runner.get_ready();
  runner.print("before");
  runner.check();
  runner.run(1);
  runner.print("waiting");
  runner.check();
  runner.begin(1, runner.now);
  runner.print("running");
  runner.check();
  runner.print("last words");
  runner.channel.push_back(runner::TaskPrinted{.out = 1, .err = 0});
  runner.answer(1);
  runner.begin(2, runner.now);
  runner.run(2);
  runner.print("next");
  runner.check();
  CHECK(runner.take_logged() ==
        Strings{"[-] before", "[-] waiting", named(1, "running"), named(1, "last words"), named(2, "next")});
}

TEST_CASE("the last lines of stderr belong to the death of the task that printed them") {
  FakeRunner runner;
  runner.get_ready();
  runner.print("!idle");
  runner.check();
  runner.run(1);  // the earlier output is not that of task 1
  runner.print("!first");
  runner.check();
  SUBCASE("the first") {
    runner.print("stdout is not in it");
    runner.print("!and last");
    runner.die(0, 4);
    runner.check();
    CHECK(runner.take_events() ==
          Strings{"runner 7 died: signal 0, code 4, started 0, tail '!first\n!and last', reason '', at "
                  "1700000000000 ms"});
  }
  SUBCASE("the second") {
    runner.run(2);
    runner.answer(1);
    runner.check();
    runner.events.clear();
    runner.die(0, 4);
    runner.check();
    CHECK(runner.take_events() == Strings{"runner 7 died: signal 0, code 4, started 0, tail '', reason '', "
                                          "at 1700000000000 ms"});
  }
}

// ---- starts, memory and ends ----

TEST_CASE("a runner that ends before HELLO has failed to start, for the reason that it printed") {
  FakeRunner runner;
  SUBCASE("with a reason") {
    runner.print("!error while loading shared libraries");
    runner.die(0, 127);
    runner.check();
    CHECK(runner.take_events() == Strings{"runner 7 failed: prog does not start on worker w1: !error while "
                                          "loading shared libraries (exited with code 127)"});
  }
  SUBCASE("by a signal") {
    runner.die(SIGKILL, 0);
    runner.check();
    CHECK(runner.take_events() == Strings{"runner 7 failed: prog does not start on worker w1: it ended "
                                          "before it was ready (was killed by SIGKILL (Killed))"});
  }
  SUBCASE("with success") {
    runner.die(0, 0);
    runner.check();
    CHECK(runner.take_events() ==
          Strings{"runner 7 failed: prog does not start on worker w1: it ended before it was ready: is it "
                  "linked with weft::client? (exited with code 0)"});
  }
  SUBCASE("it could not be started at all") {
    runner.events.push_back(runner.monitor.failure_to_start("no memory"));
    CHECK(runner.take_events() == Strings{"runner 7 failed: prog does not start on worker w1: no memory"});
  }
}

TEST_CASE("a loader that lacks static TLS is recognised by its words, before HELLO") {
  FakeRunner runner;
  CHECK_FALSE(runner.monitor.lacks_static_tls());
  SUBCASE("before") {
    runner.print("!cannot allocate memory in static TLS block");
    runner.check();
    CHECK(runner.monitor.lacks_static_tls());
  }
  SUBCASE("after") {
    runner.get_ready();
    runner.print("!cannot allocate memory in static TLS block");
    runner.check();
    CHECK_FALSE(runner.monitor.lacks_static_tls());
  }
}

TEST_CASE("a runner above its memory limit is broken, one at the limit is not") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.monitor.on_memory(kLimit, runner.events);
  CHECK(runner.take_events() == Strings{});
  runner.monitor.on_memory(2 * kLimit, runner.events);
  runner.monitor.on_memory(3 * kLimit, runner.events);
  CHECK(runner.take_events() ==
        Strings{"runner 7 is broken: memory limit of 1.0 GiB exceeded: peak 2.0 GiB"});
}

TEST_CASE("a runner that the kernel has killed for its memory says so") {
  FakeRunner runner;
  runner.get_ready();
  runner.run(1);
  runner.monitor.on_death(SIGKILL, 0);
  CHECK(text_of(runner.monitor.end_of_life(1, 2 * kLimit, kNow_ms)) ==
        "runner 7 died: signal 9, code 0, started 1, tail '', reason 'memory limit of 1.0 GiB exceeded: peak "
        "2.0 GiB', at 1700000000000 ms");
}

TEST_SUITE_END();

}  // namespace weft::worker
