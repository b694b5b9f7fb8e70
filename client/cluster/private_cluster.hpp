// SPDX-License-Identifier: MIT
// PrivateCluster: a cluster on this machine for one process, on a free port and with a private state
// directory. It ends with this object, or when the process dies, which its supervisor watches.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"

namespace weft::cluster {

class PrivateCluster {
 public:
  /// Returns when all workers have joined. Throws Failed.
  PrivateCluster(int workers, int nprocs, std::vector<std::string> worker_args,
                 const std::string& bin_directory);
  ~PrivateCluster();
  PrivateCluster(const PrivateCluster&) = delete;
  PrivateCluster& operator=(const PrivateCluster&) = delete;

  const std::string& address() const { return address_; }
  /// Starts another worker and returns its name when it has joined. Throws Failed.
  std::string start_worker();
  /// Kills a worker by SIGKILL; returns when it is dead. Throws Failed.
  void kill_worker(const std::string& name);

 private:
  void stop();

  StateDirectory directory_;
  pid_t owner_ = getpid();
  pid_t supervisor_ = -1;
  std::string address_;
};

}  // namespace weft::cluster
