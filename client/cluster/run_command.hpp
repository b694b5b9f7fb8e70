// SPDX-License-Identifier: MIT
// `weft run [-n SLOTS] PROGRAM [ARGS]`: a cluster on this machine for as long as a program runs.
#pragma once

#include <string>
#include <vector>

namespace weft::cluster {

/// Returns the program's exit code; 128 plus the signal that ended it; 126 or 127 if it cannot be executed or
/// found; 1 if the cluster does not start; 2 for wrong usage.
int run_command(const std::vector<std::string>& words);

}  // namespace weft::cluster
