// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <csignal>

#include "common/runner/runner_loop.hpp"
#include "worker/runners/runner_command.hpp"

using namespace weft;

namespace {

std::string refusal(std::vector<std::string> argv) {
  try {
    runner::run_command({.argv = std::move(argv), .input = ""});
    return "";
  } catch (const runner::Failure& failure) {
    return failure.message;
  }
}

}  // namespace

TEST_SUITE("runner command") {
  TEST_CASE("arguments and input go in, output, errors and the exit code come out") {
    const CommandResult result = runner::run_command(
        {.argv = {"sh", "-c", "cat; echo \"$1\" >&2; exit 3", "sh", "a b"}, .input = "in\n"});
    CHECK(result == CommandResult{3, "in\n", "a b\n"});
  }

  TEST_CASE("a command that a signal ended has 128 and the signal") {
    CHECK(runner::run_command({.argv = {"sh", "-c", "kill -TERM $$"}, .input = ""}).exit_code ==
          128 + SIGTERM);
  }

  TEST_CASE("a command that cannot be run fails with the system's reason") {
    CHECK(refusal({"/no/such/program"}) == "cannot run '/no/such/program': No such file or directory");
    CHECK(refusal({"/"}) == "cannot run '/': Permission denied");
    CHECK(refusal({}) == "cannot run a command without a name");
  }

  TEST_CASE("much input and much output at once do not wait for each other") {
    std::string input(20'000'000, '\0');
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<char>(i * 7);
    const CommandResult result = runner::run_command({.argv = {"tee", "/dev/stderr"}, .input = input});
    CHECK(result.exit_code == 0);
    CHECK((result.out == input));
    CHECK((result.err == input));
  }

  TEST_CASE("a command that does not read its input ends as it wants, and SIGPIPE is as before") {
    auto* const before = std::signal(SIGPIPE, SIG_DFL);
    const CommandResult result =
        runner::run_command({.argv = {"true"}, .input = std::string(10'000'000, 'x')});
    CHECK(result.exit_code == 0);
    CHECK((std::signal(SIGPIPE, before) == SIG_DFL));
  }

  TEST_CASE("a process that the command leaves behind is not waited for") {
    const CommandResult quiet =
        runner::run_command({.argv = {"sh", "-c", "sleep 30 & echo done"}, .input = ""});
    CHECK(quiet.out == "done\n");
    const CommandResult noisy =
        runner::run_command({.argv = {"sh", "-c", "timeout 5 yes & echo done"}, .input = ""});
    CHECK(noisy.exit_code == 0);
  }
}
