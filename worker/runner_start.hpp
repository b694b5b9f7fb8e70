// SPDX-License-Identifier: MIT
// From a fork to a runner. The runner's world: argv[0] as given, stdin from /dev/null, an environment
// without WEFT_*, a scratch folder of its own as cwd, no other descriptors, default signals, a process
// group of its own, no core file.
#pragma once

#include "worker/keeper.hpp"

namespace weft::worker {

/// In a child of its keeper. What goes wrong is said on its stderr, and it ends with code 127.
[[noreturn]] void become_runner(const RunnerOrder& order, pid_t keeper);

}  // namespace weft::worker
