// SPDX-License-Identifier: MIT
// Real processes, started and supervised: a shell plays the runner. Waits are on conditions, with a
// deadline, never for a fixed time.
#include <doctest/doctest.h>
#include <sys/stat.h>

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

TEST_CASE("a runner's world: empty stdin, no other descriptors, a scratch folder, no WEFT_* but one") {
  setenv("WEFT_TEST_SECRET", "1", 1);
  Shell shell(
      "read line || echo empty; pwd; env | grep ^WEFT_; ls /proc/$$/fd | tr '\\n' ' '; echo; ulimit -c; "
      "echo $LD_LIBRARY_PATH; echo $0; trap");
  CHECK(shell.death().exit_code == 0);
  unsetenv("WEFT_TEST_SECRET");
  const char* path = std::getenv("LD_LIBRARY_PATH");
  CHECK(shell.out == "empty\n" + shell.folder +
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
  file.reset();  // what is open for writing is not executed, for another reason
  const Fd program = checked(open(name, O_RDONLY | O_CLOEXEC), name);
  unlink(name);
  Shell shell("");
  const std::string scratch = shell.folder + "/other";
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
  shell.wait_for([&] {
    shell.process->read_socket();
    return shell.process->mute();
  });
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
