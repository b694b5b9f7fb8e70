// SPDX-License-Identifier: MIT
// The command line of `weft cluster`, which scripts/cluster.sh passes on.
#pragma once

#include <string>
#include <vector>

namespace weft::cluster {

/// `program` is how it was called, for messages: "cluster.sh" or "weft cluster". Returns the exit code.
int cluster_command(const std::string& program, const std::vector<std::string>& words);

}  // namespace weft::cluster
