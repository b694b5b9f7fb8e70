// SPDX-License-Identifier: MIT
// Turns a forked child into a runner: argv[0] as given, stdin from /dev/null, the worker's environment
// without its WEFT_* variables, a private scratch directory as cwd, only the descriptors that a runner needs,
// default signals, a new session and process group, no core file.
#pragma once

#include "worker/runners/reaper.hpp"

namespace weft::worker {

/// Called in a child of the reaper. A failure is written to stderr if possible, and ends the child with code
/// 127.
[[noreturn]] void become_runner(const RunnerOrder& order, pid_t reaper);

}  // namespace weft::worker
