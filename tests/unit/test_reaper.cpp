// SPDX-License-Identifier: MIT
// Leftover processes of runners, and who ends them: whichever of the agent, the fork server, the reaper and
// the runner dies, and however the runner's processes have tried to escape.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/unit/shell_runner.hpp"

namespace weft::worker {

namespace {

/// A child that ignores signals, one with a new session, and two more sessions by a double fork. The shell
/// and each of them print their pids.
constexpr const char* kEscapes =
    "echo $$; sh -c \"trap '' TERM HUP; echo \\$\\$; sleep 60; :\" & "
    "setsid sh -c 'echo $$; sleep 60; :' & "
    "(setsid sh -c 'echo $$; setsid -f sh -c \"echo \\$\\$; sleep 60; :\"; sleep 60; :' &); ";
constexpr std::size_t kProcesses = 5;

bool lives(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t behind_name = text.rfind(')');
  return behind_name != std::string::npos && text[behind_name + 2] != 'Z';
}

std::vector<pid_t> pids_in(const std::string& text) {
  std::istringstream lines(text);
  std::vector<pid_t> out;
  for (pid_t pid = 0; lines >> pid;) out.push_back(pid);
  return out;
}

void check_gone(const std::vector<pid_t>& pids) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (const pid_t pid : pids) {
    CAPTURE(pid);
    while (lives(pid) && std::chrono::steady_clock::now() < end) poll(nullptr, 0, 1);
    CHECK(!lives(pid));
  }
}

/// Waits until all processes of kEscapes run.
std::vector<pid_t> escaped(Shell& shell) {
  shell.wait_for([&] {
    shell.read();
    return pids_in(shell.out).size() == kProcesses;
  });
  for (const pid_t pid : pids_in(shell.out)) CHECK(lives(pid));
  return pids_in(shell.out);
}

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

/// Processes with `mark` in their environment.
std::vector<std::string> marked(const std::string& mark) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (content(entry.path() / "environ").find(mark) != std::string::npos) out.push_back(entry.path());
  }
  return out;
}

pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  return std::stoi(text.substr(text.rfind(')') + 4));
}

}  // namespace

TEST_SUITE("reaper") {
  TEST_CASE("when a runner's death is known, nothing that it started is left") {
    SUBCASE("it exits") {
      Shell shell(std::string(kEscapes) + "read end <&3");
      const auto pids = escaped(shell);
      shell.process->end_channel();
      CHECK(shell.death().signal == 0);
      for (const pid_t pid : pids) CHECK(!lives(pid));
    }
    SUBCASE("it is killed by itself") {
      Shell shell(std::string(kEscapes) + "read end <&3");
      const auto pids = escaped(shell);
      kill(pids[0], SIGSEGV);
      CHECK(shell.death().signal == SIGSEGV);
      for (const pid_t pid : pids) CHECK(!lives(pid));
    }
    SUBCASE("it must die, and has stopped itself") {
      Shell shell(std::string(kEscapes) + "kill -STOP $$");
      const auto pids = escaped(shell);
      shell.process->kill(SIGKILL);
      CHECK(shell.death().signal == SIGKILL);
      for (const pid_t pid : pids) CHECK(!lives(pid));
    }
  }

  TEST_CASE("a signal other than SIGKILL goes to the group alone") {
    Shell shell(std::string(kEscapes) + "trap 'exit 5' TERM; read end <&3");
    const auto pids = escaped(shell);
    shell.process->kill(SIGTERM);
    CHECK(shell.death().exit_code == 5);
    check_gone(pids);
  }

  TEST_CASE("a chain of processes that fork and exit without end is ended") {
    Shell shell("WEFT_TEST_CHAIN=$$ sh -c 'next() { sleep 0.01; next & }; next'; echo $$; read end <&3");
    shell.wait_for([&] {
      shell.read();
      return !shell.out.empty();
    });
    const std::string mark = "WEFT_TEST_CHAIN=" + std::to_string(pids_in(shell.out)[0]);
    shell.wait_for([&] { return !marked(mark).empty(); });  // a process may be missed between two forks
    shell.process->end_channel();
    CHECK(shell.death().signal == 0);
    for (int i = 0; i < 10; ++i) CHECK(marked(mark).empty());
  }

  TEST_CASE("a reaper that is killed counts as its runner's death, and the fork server ends the rest") {
    Shell shell(std::string(kEscapes) + "read end <&3");
    const auto pids = escaped(shell);
    shell.process->death();
    kill(shell.process->reaper(), SIGKILL);
    CHECK(shell.death().signal == SIGKILL);
    check_gone(pids);
  }

  TEST_CASE("a fork server that is killed is noticed, and runners are still kept") {
    Shell shell(std::string(kEscapes) + "read end <&3");
    const auto pids = escaped(shell);
    shell.process->death();
    kill(parent_of(shell.process->reaper()), SIGKILL);
    pollfd polled{shell.server.fd(), POLLIN, 0};
    CHECK(poll(&polled, 1, 10'000) == 1);
    CHECK_THROWS_AS(shell.server.start({}), std::system_error);
    shell.process->kill(SIGKILL);
    shell.death();
    for (const pid_t pid : pids) CHECK(!lives(pid));
  }

  TEST_CASE("an agent that is killed leaves nothing, alone or with the fork server or the reaper") {
    int also = 0;
    SUBCASE("alone") {}
    SUBCASE("with the fork server") { also = 1; }
    SUBCASE("with the reaper") { also = 2; }
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t agent = fork();
    if (agent == 0) {  // a child of this test plays the agent
      Shell shell(std::string(kEscapes) + "read end <&3");
      std::vector<pid_t> pids = escaped(shell);
      shell.process->death();
      pids.push_back(parent_of(shell.process->reaper()));
      pids.push_back(shell.process->reaper());
      if (write(ends[1], pids.data(), pids.size() * sizeof(pid_t)) < 0) _exit(1);
      pause();
    }
    std::vector<pid_t> pids(kProcesses + 2);
    const auto bytes = static_cast<ssize_t>(pids.size() * sizeof(pid_t));
    REQUIRE(read(ends[0], pids.data(), static_cast<std::size_t>(bytes)) == bytes);
    if (also > 0) kill(pids[kProcesses + static_cast<std::size_t>(also) - 1], SIGKILL);
    kill(agent, SIGKILL);
    waitpid(agent, nullptr, 0);
    check_gone(pids);
    close(ends[0]);
    close(ends[1]);
  }

  TEST_CASE("where there is a cgroup, the kernel is told to kill all that is in it") {
    Shell shell("");
    std::ofstream(shell.temp / "cgroup.procs").flush();
    std::ofstream(shell.temp / "cgroup.kill").flush();
    const Fd cgroup = checked(open(shell.temp.path().c_str(), O_RDONLY | O_CLOEXEC), shell.temp.path());
    const Fd program = checked(open("/bin/sh", O_RDONLY | O_CLOEXEC), "/bin/sh");
    shell.process = std::make_unique<RunnerProcess>(RunnerProcess::Launch{.executable = program.get(),
                                                                          .argv = {"sh", "-c", "exit 4"},
                                                                          .scratch = shell.temp / "other",
                                                                          .cgroup = cgroup.get()},
                                                    shell.server);
    CHECK(shell.death().exit_code == 4);
    CHECK(content(shell.temp / "cgroup.procs") == "0");
    CHECK(content(shell.temp / "cgroup.kill") == "1");
  }
}

}  // namespace weft::worker
