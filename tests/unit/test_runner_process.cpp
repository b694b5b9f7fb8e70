// SPDX-License-Identifier: MIT
// Real processes, started and supervised: a shell plays the runner. Tests wait for conditions, with a
// deadline, never for a fixed time.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "tests/unit/shell_runner.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("runner process");

TEST_CASE("what a runner prints arrives line by line, and how it ended after that") {
  Shell shell("echo one; echo two >&2; printf three; exit 3");
  const auto death = shell.death();
  CHECK(death.exit_code == 3);
  CHECK(death.signal == 0);
  CHECK(shell.out == "one\nthree\n");
  CHECK(shell.err == "two\n");
}

TEST_CASE("a runner's world: empty stdin, no other descriptors, a scratch directory, no WEFT_* but one") {
  setenv("WEFT_TEST_SECRET", "1", 1);
  Shell shell(
      "read line || echo empty; pwd; env | grep ^WEFT_; ls /proc/$$/fd | tr '\\n' ' '; echo; ulimit -c; "
      "echo $LD_LIBRARY_PATH; echo $0; trap");
  CHECK(shell.death().exit_code == 0);
  unsetenv("WEFT_TEST_SECRET");
  const char* path = std::getenv("LD_LIBRARY_PATH");
  CHECK(shell.out == "empty\n" + shell.temp.path().string() +
                         "/scratch\nWEFT_RUNNER=" + std::to_string(runner::kChannelVersion) +
                         ":3:4\n0 1 2 3 4 \n0\n" + (path ? path : "") + "\nsh\n");
}

TEST_CASE("a signal goes to the whole group of a runner, and its death takes the group with it") {
  SUBCASE("asked") {
    Shell shell("sleep 1000 & echo $!; wait");
    shell.wait_for([&] {
      shell.read();
      return !shell.out.empty();
    });
    const pid_t child = std::stoi(shell.out);
    shell.process->kill(SIGTERM);
    CHECK(shell.death().signal == SIGTERM);
    shell.wait_for([&] {
      return kill(child, 0) < 0 ||
             !std::filesystem::exists("/proc/" + shell.out.substr(0, shell.out.size() - 1) + "/exe");
    });
  }
  SUBCASE("dying by itself") {
    Shell shell("sleep 1000 & echo $!; exit 0");
    CHECK(shell.death().exit_code == 0);
    shell.wait_for([&] {
      return !std::filesystem::exists("/proc/" + shell.out.substr(0, shell.out.size() - 1) + "/exe");
    });
  }
}

TEST_CASE("a program that cannot be executed says so and ends with 127") {
  char name[] = "/tmp/weft-test-XXXXXX";
  Fd file(mkstemp(name));
  REQUIRE(write(file.get(), "no program", 10) == 10);
  fchmod(file.get(), 0700);
  file.reset();  // a file that is open for writing cannot be executed, with another error
  const Fd program = checked(open(name, O_RDONLY | O_CLOEXEC), name);
  unlink(name);
  Shell shell("");
  const std::string scratch = shell.temp / "other";
  shell.process = std::make_unique<RunnerProcess>(
      RunnerProcess::Launch{.executable = program.get(), .argv = {"x"}, .scratch = scratch}, shell.server);
  CHECK(shell.death().exit_code == 127);
  CHECK(shell.err == "cannot execute it: Exec format error\n");
}

TEST_CASE("a page that a runner fills with zeros is told from a new one") {
  Shell shell("trap 'head -c 4096 /dev/zero >&4; echo done; exit' TERM; echo up; read end <&3");
  const auto says = [&](const std::string& text) {
    shell.wait_for([&] {
      shell.read();
      return shell.out == text;
    });
  };
  says("up\n");
  CHECK(shell.process->started() == 0);
  shell.process->kill(SIGTERM);
  says("up\ndone\n");
  CHECK(shell.process->started() == UINT64_MAX);
}

TEST_CASE("noise and the end of its socket are no end of a runner, only that it cannot wake us") {
  Shell shell("printf xyz >&3; exec 3>&-; sleep 1000");
  shell.wait_for([&] { return !shell.process->read_socket(); });
  CHECK(shell.process->receive().kind == runner::Received::Kind::again);
  CHECK(!shell.process->death());
}

TEST_CASE("tasks wait when the channel is full, and nothing blocks") {
  Shell shell("sleep 1000");
  runner::RunTask task;
  task.payload = wire::Payload(std::string(60'000, 'x'));
  for (int i = 0; i < 100; ++i) shell.process->send(task);
  shell.process->flush();
  CHECK(shell.process->waiting() > 90);
}

TEST_SUITE_END();

TEST_SUITE("runner output") {
  TEST_CASE("lines are cut at a bound, and the rest of a cut line is a line") {
    LineSplitter lines;
    std::vector<std::string> seen;
    const auto sink = [&](std::string_view line) { seen.emplace_back(line); };
    lines.feed("a", sink);
    lines.feed("b\n\nc", sink);
    CHECK(seen == std::vector<std::string>{"ab", ""});
    lines.finish(sink);
    CHECK(seen.back() == "c");
    seen.clear();
    lines.feed(std::string(LineSplitter::kLineBytesMax, 'x'), sink);
    lines.feed("\n", sink);
    CHECK(seen == std::vector<std::string>{std::string(LineSplitter::kLineBytesMax, 'x')});
    lines.feed(std::string(LineSplitter::kLineBytesMax + 1, 'y') + "\nz\n", sink);
    CHECK(seen.size() == 4);
    CHECK(seen[2] == "y");
    CHECK(seen[3] == "z");
  }

  TEST_CASE("a line is not cut within a character, and no byte is lost when it is none") {
    for (const std::string text :
         {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xe9", "\xff", "\x80\x80\x80\x80\x80"}) {
      for (std::size_t before = LineSplitter::kLineBytesMax - 5; before <= LineSplitter::kLineBytesMax;
           ++before) {
        CAPTURE(before);
        LineSplitter lines;
        std::vector<std::string> seen;
        lines.feed(std::string(before, 'x') + text + "tail\n",
                   [&](std::string_view line) { seen.emplace_back(line); });
        std::string all;
        for (const std::string& line : seen) {
          CHECK(line.size() <= LineSplitter::kLineBytesMax);
          all += line;
        }
        CHECK(all == std::string(before, 'x') + text + "tail");
        const bool is_utf8 = text.size() > 1 && text.front() != '\x80';
        if (is_utf8)
          CHECK(std::any_of(seen.begin(), seen.end(),
                            [&](const std::string& line) { return line.find(text) != std::string::npos; }));
      }
    }
  }

  TEST_CASE("what was printed up to a total is given out, with an end for its last line, and no more") {
    Shell shell("printf one; printf 'two\\nthree'; printf err >&2; sleep 1000");
    std::vector<std::string> seen;
    const auto sink = [&](std::string_view line, bool is_stderr) {
      seen.push_back((is_stderr ? "err: " : "out: ") + std::string(line));
    };
    shell.wait_for([&] {
      shell.process->read_output(SIZE_MAX);
      shell.process->log_output_until({.out = 3, .err = 3}, sink);
      return seen.size() == 2;
    });
    CHECK(seen == std::vector<std::string>{"out: one", "err: err"});
    shell.process->log_output_until({.out = 3, .err = 3}, sink);
    CHECK(seen.size() == 2);
    seen.clear();
    shell.process->log_output_until({.out = 9, .err = 3}, sink);
    CHECK(seen == std::vector<std::string>{"out: two", "out: th"});
    shell.process->log_output(sink);
    CHECK(seen.size() == 2);  // a partial line may continue
    shell.process->log_output_until({.out = 1'000'000, .err = 0}, sink);
    CHECK(seen.back() == "out: ree");
  }

  TEST_CASE("the tail keeps the last lines, and not too many bytes") {
    Tail tail;
    for (int i = 0; i < 60; ++i) tail.add(std::to_string(i));
    CHECK(tail.text().starts_with("10\n11\n"));
    CHECK(tail.text().ends_with("\n58\n59"));
    tail.add(std::string(10'000, 'x'));
    CHECK(tail.text().size() == Tail::kBytesMax - 1);
    tail.clear();
    CHECK(tail.text() == "");
  }
}

}  // namespace weft::worker
