// SPDX-License-Identifier: MIT
// ForkServer: a small process that forks all runners. The agent starts it before it has threads and memory,
// so that the cost of starting a runner does not grow with the agent, and so that runners are cleaned up even
// if the agent is killed:
//
//   weft-worker            the agent
//     weft-forkserver      adopts the leftovers of a reaper that was killed, and ends them
//       weft-reaper        one for each runner: adopts the leftovers of its runner, and ends them
//         the runner
//
// Any of them may be killed at any moment: all its descendants end soon afterwards. While tasks run, the fork
// server and the reapers only sleep.
#pragma once

#include <sys/types.h>

#include "common/system/fd.hpp"
#include "worker/runners/reaper.hpp"

namespace weft::worker {

class ForkServer {
 public:
  /// REQUIRES: this process has one thread. Throws std::system_error.
  ForkServer();
  /// Waits until the server and all its descendants have ended.
  ~ForkServer();
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  /// Starts a runner, whose start and end its reaper reports on the order's line. Throws std::system_error.
  void start(const RunnerOrder& order);
  /// Readable once the fork server has died, after which no runner can be started.
  int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  pid_t pid_ = -1;
};

}  // namespace weft::worker
