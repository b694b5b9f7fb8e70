// SPDX-License-Identifier: MIT
// The start of a cluster in steps, for `up`, `weft run` and LocalCluster.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"

namespace weft::cluster {

/// The slots of each of so many workers on this machine: at least 1.
int shared_cores(int workers);

/// Starts a supervisor by the program `weft`. It starts the rest; returns when it takes requests. Throws
/// Failed.
pid_t start_supervisor(const StateDirectory& directory, const ClusterSettings& settings,
                       const std::string& weft);

/// Returns when all have joined. Throws Failed, Interrupted.
void await_cluster(const StateDirectory& directory, std::chrono::milliseconds timeout);

}  // namespace weft::cluster
