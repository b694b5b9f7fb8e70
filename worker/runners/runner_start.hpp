// SPDX-License-Identifier: MIT
// Turns a forked child into a runner: argv[0] as given, stdin from /dev/null, an environment without WEFT_*,
// a private scratch directory as cwd, no other descriptors, default signals, its own process group, no core
// file.
#pragma once

#include "worker/runners/reaper.hpp"

namespace weft::worker {

/// Called in a child of the reaper. Failures are written to stderr, and end it with code 127.
[[noreturn]] void become_runner(const RunnerOrder& order, pid_t reaper);

}  // namespace weft::worker
