// SPDX-License-Identifier: MIT
// PrivateCluster: a cluster on this machine for one process, on a free port and with a private state
// directory. The cluster ends with this object, or when the process dies, which the supervisor watches.
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
  /// Starts the cluster, and returns when all workers have joined. `nprocs`: slots of each worker; 0: the
  /// cores, divided among the workers. Throws Failed.
  PrivateCluster(int workers, int nprocs, std::vector<std::string> worker_args,
                 const std::string& bin_directory);
  ~PrivateCluster();
  PrivateCluster(const PrivateCluster&) = delete;
  PrivateCluster& operator=(const PrivateCluster&) = delete;

  const std::string& address() const { return address_; }
  /// Starts another worker and returns its name when the worker has joined. Throws Failed.
  std::string start_worker();
  /// Kills a worker by SIGKILL; returns when the worker is dead. Throws Failed.
  void kill_worker(const std::string& name);

 private:
  void stop();

  StateDirectory directory_;
  pid_t owner_ = getpid();
  pid_t supervisor_ = -1;
  std::string address_;
};

}  // namespace weft::cluster
