// SPDX-License-Identifier: MIT
#include "worker/runners/reaper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>

#include "common/system/standard_files.hpp"
#include "worker/runners/runner_start.hpp"

namespace weft::worker {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kGiveUp = std::chrono::seconds(5);  // on processes that even SIGKILL does not end
constexpr timespec kLookAgain{0, 10'000'000};      // newly adopted children send no signal

sigset_t only(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

void send_report(int line, const ReaperReport& report) {
  // If the agent is gone, the report is lost, and there is nothing left to do.
  [[maybe_unused]] const auto sent = send(line, &report, sizeof report, MSG_NOSIGNAL);
}

class Reaper {
 public:
  Reaper(pid_t runner, Fd line, Fd kill_switch)
      : runner_(runner), line_(std::move(line)), kill_switch_(std::move(kill_switch)) {}

  void run() {
    watch();
    end_all();
    const int status = status_.value_or(SIGKILL);
    send_report(line_.get(), {.kind = ReaperReport::Kind::ended,
                              .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                              .exit_code = WIFSIGNALED(status) ? 0 : WEXITSTATUS(status)});
  }

 private:
  void watch();
  void reap();
  void end_all();
  void pass_on(int signal) const;
  bool kill_children();

  pid_t runner_;
  Fd line_;
  Fd kill_switch_;             // cgroup.kill of the runner's cgroup, if it has one
  std::optional<int> status_;  // of the runner, once it has been reaped
};

/// Returns when the runner has ended or must be ended.
void Reaper::watch() {
  const sigset_t set = only(SIGCHLD);
  const Fd children(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  while (!status_) {
    pollfd polled[] = {{line_.get(), POLLIN, 0}, {children.get(), POLLIN, 0}};
    if (poll(polled, 2, -1) < 0) continue;
    if (polled[0].revents != 0) {
      int signal = 0;
      if (recv(line_.get(), &signal, sizeof signal, 0) != sizeof signal || signal == SIGKILL) return;
      pass_on(signal);
    }
    signalfd_siginfo info{};
    while (read(children.get(), &info, sizeof info) > 0) continue;
    reap();
  }
}

/// The runner has not been reaped yet, so its pid, which is also its group's id, has not been reused.
void Reaper::pass_on(int signal) const {
  // Before its setsid() the runner has no process group.
  if (kill(-runner_, signal) < 0) kill(runner_, signal);
}

/// Records the runner's status. The other children are leftovers of its processes.
void Reaper::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;)
    if (pid == runner_) status_ = status;
}

/// Kills all descendants. A process that loses its parent by this becomes our child, and is killed in a later
/// round.
void Reaper::end_all() {
  if (kill_switch_ && write(kill_switch_.get(), "1", 1) < 0) {
    // Otherwise kill them one by one.
  }
  const sigset_t set = only(SIGCHLD);
  for (const auto end = Clock::now() + kGiveUp; kill_children() && Clock::now() < end; reap()) {
    sigtimedwait(&set, nullptr, &kLookAgain);
  }
  for (const pid_t child : own_children()) {
    report_line(fmt::format("weft-worker: process {}, left behind by a task, cannot be ended", child));
  }
}

/// Returns whether any child could be signalled.
bool Reaper::kill_children() {
  bool any = false;
  for (const pid_t child : own_children()) any = kill(child, SIGKILL) == 0 || errno != EPERM || any;
  return any;
}

}  // namespace

void run_reaper(RunnerOrder order) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "weft-reaper");
  const pid_t self = getpid();
  send_report(order.fds[RunnerOrder::line].get(), {.kind = ReaperReport::Kind::started, .reaper = self});
  const pid_t runner = fork();
  if (runner == 0) become_runner(order, self);
  if (runner < 0) {
    report_failure(order);
    _exit(0);
  }
  Fd kill_switch;
  if (order.cgroup() >= 0) kill_switch = Fd(openat(order.cgroup(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  Reaper reaper(runner, std::move(order.fds[RunnerOrder::line]), std::move(kill_switch));
  order.fds.clear();  // only the runner may hold its ends open
  reaper.run();
  _exit(0);
}

void report_failure(const RunnerOrder& order) {
  const std::string text = fmt::format("cannot start a process: {}\n", std::strerror(errno));
  [[maybe_unused]] const auto written = write(order.fds[RunnerOrder::err].get(), text.data(), text.size());
  send_report(order.fds[RunnerOrder::line].get(), {.kind = ReaperReport::Kind::ended, .exit_code = 127});
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> out;
  std::ifstream file(fmt::format("/proc/self/task/{}/children", getpid()));
  for (pid_t child = 0; file >> child;) out.push_back(child);
  return out;
}

}  // namespace weft::worker
