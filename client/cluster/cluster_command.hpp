// SPDX-License-Identifier: MIT
// The command line of `weft cluster`, to which scripts/cluster.sh passes its arguments.
#pragma once

#include <string>
#include <vector>

namespace weft::cluster {

/// `program`: the name for messages, "cluster.sh" or "weft cluster". Returns the exit code.
int cluster_command(const std::string& program, const std::vector<std::string>& words);

}  // namespace weft::cluster
