// SPDX-License-Identifier: MIT
// How broker and worker begin: the same whatever the process that started them has ignored, blocked, closed.
#pragma once

#include <csignal>

namespace weft {

/// First thing in main: 0, 1 and 2 are open; no signal is blocked; each has its default disposition, but that
/// SIGHUP and SIGQUIT stay ignored where they were (nohup, `&` in a script), and that a write to a closed
/// pipe or beyond `ulimit -f` is an error and no death.
void start_daemon() noexcept;

/// SIGTERM and SIGINT, which are blocked from now on: for a signalfd. REQUIRES: there is one thread.
sigset_t block_stop_signals() noexcept;

}  // namespace weft
