// SPDX-License-Identifier: MIT
// Steps of starting a cluster, for `up`, `weft run` and LocalCluster.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"

namespace weft::cluster {

/// The cores of this machine divided by `workers`, at least 1.
int shared_cores(int workers);

/// Starts a supervisor, which starts the members, by the program at path `weft`. Returns its pid when the
/// supervisor accepts requests. Throws Failed.
pid_t start_supervisor(const StateDirectory& directory, const ClusterSettings& settings,
                       const std::string& weft);

/// Returns when all members have joined. Throws Failed when a member never will, or after `timeout`, and
/// Interrupted like wait_until().
void await_cluster(const StateDirectory& directory, std::chrono::milliseconds timeout);

}  // namespace weft::cluster
