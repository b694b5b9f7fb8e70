// SPDX-License-Identifier: MIT
// What a fork server's child does: it becomes the keeper of one runner. It starts the runner, adopts
// what the runner's processes leave behind (double forks, sessions of their own), and ends all of it
// when the runner ends, when the agent says so, or when the agent is no more.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/fd.hpp"

namespace weft::worker {

/// What a runner is started from, and its keeper's line to the agent.
struct RunnerOrder {
  enum Place : std::size_t { line, out, err, channel, page, executable, fixed_places };
  std::vector<Fd> fds;  // by Place; behind them `libraries`, and the folder of a cgroup, if there is one
  std::string scratch;
  std::string library_names;  // for WEFT_LIBRARIES; "": no libraries
  std::size_t libraries = 0;  // descriptors: from kLoaderFd on in the runner
  bool large_tls = false;     // with kTlsTunable
  std::vector<std::string> argv;

  int cgroup() const {
    return fds.size() > fixed_places + libraries ? fds[fixed_places + libraries].get() : -1;
  }
};

/// On the line, a message each. The agent sends signals (int) for the runner's group; SIGKILL, and the
/// end of the line, mean everything that descends from the runner.
struct KeeperReport {
  enum class Kind : int { started, ended } kind = Kind::started;  // once each, the first before the fork
  pid_t keeper = 0;                                               // started: who this is
  int signal = 0;  // ended: how the runner did; all that descends from it has ended too
  int exit_code = 0;
};

/// REQUIRES: one thread, SIGCHLD blocked.
[[noreturn]] void keep(RunnerOrder order);

/// Starting failed with errno: says so where the runner would have, and answers for it.
void report_failure(const RunnerOrder& order);

/// Processes whose parent is this one, which has one thread.
std::vector<pid_t> own_children();

}  // namespace weft::worker
