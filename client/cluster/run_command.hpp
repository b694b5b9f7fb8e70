// SPDX-License-Identifier: MIT
// `weft run [-n SLOTS] PROGRAM [ARGS]`: a cluster on this machine for as long as a program runs.
#pragma once

#include <string>
#include <vector>

namespace weft::cluster {

/// Returns the program's exit code, 128 and the signal that ended it, 126 or 127 when it cannot be executed
/// or is not there, 1 when the cluster does not come up, 2 for wrong usage.
int run_command(const std::vector<std::string>& words);

}  // namespace weft::cluster
