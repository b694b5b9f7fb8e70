// SPDX-License-Identifier: MIT
// ForkServer: a small process from which all runners come. The agent forks it before it has threads and
// memory, so that starting a runner costs the same however large the agent has become, and so that
// somebody is there when the agent is killed:
//
//   weft-worker            the agent
//     weft-forkserver      adopts what a keeper that was killed has left, and ends it
//       weft-keeper        one for each runner: adopts what its runner leaves, and ends it
//         the runner
//
// Any one of them may be killed at any moment, and nothing outlives it for long. Nobody here has anything
// to do while tasks run.
#pragma once

#include <sys/types.h>

#include "common/fd.hpp"
#include "worker/keeper.hpp"

namespace weft::worker {

class ForkServer {
 public:
  /// REQUIRES: this process has one thread. Throws std::system_error.
  ForkServer();
  /// Waits until it and all that came from it have ended.
  ~ForkServer();
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  /// Throws std::system_error. What becomes of it is said on the order's line.
  void start(const RunnerOrder& order);
  /// Readable when it has died: then nothing can be started any more.
  int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  pid_t pid_ = -1;
};

}  // namespace weft::worker
