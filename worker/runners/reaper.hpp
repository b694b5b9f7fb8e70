// SPDX-License-Identifier: MIT
// The child of the fork server becomes the reaper of one runner. It starts the runner, adopts processes that
// the runner leaves behind (double forks, other sessions), and ends all of them when the runner ends, when
// the agent asks for it, or when the agent is gone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::worker {

/// What a runner is started with, and its reaper's line to the agent.
struct RunnerOrder {
  enum FdSlot : std::size_t { line, out, err, channel, page, executable, fixed_places };
  std::vector<Fd> fds;  // by FdSlot; then `libraries`, then the directory of a cgroup, if there is one
  std::string scratch;
  std::string library_names;  // for WEFT_LIBRARIES; "": no libraries
  std::size_t libraries = 0;  // number of their descriptors; from kLoaderFd on in the runner
  bool large_tls = false;     // start it with kTlsTunable
  std::vector<std::string> argv;

  int cgroup() const {
    return fds.size() > fixed_places + libraries ? fds[fixed_places + libraries].get() : -1;
  }
};

/// A message on the line to the agent. In the other direction the agent sends signals (int) for the runner's
/// group; SIGKILL, like the end of the line, ends all descendants of the runner.
struct ReaperReport {
  // Each kind is sent once: `started` before the runner is forked, `ended` last.
  enum class Kind : int { started, ended } kind = Kind::started;
  pid_t reaper = 0;  // started: pid of the reaper
  int signal = 0;    // ended: how the runner ended; all its descendants have ended too
  int exit_code = 0;
};

/// REQUIRES: one thread, SIGCHLD blocked.
[[noreturn]] void run_reaper(RunnerOrder order);

/// Starting failed with errno: writes this to the runner's stderr, and reports its end.
void report_failure(const RunnerOrder& order);

/// Children of this process. REQUIRES: one thread.
std::vector<pid_t> own_children();

}  // namespace weft::worker
