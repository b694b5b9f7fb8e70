// SPDX-License-Identifier: MIT
// Start-up of broker and worker: the same process state whatever the parent has ignored, blocked or closed.
#pragma once

#include <csignal>

namespace weft {

/// Call first in main. Opens 0, 1 and 2 if they are closed, unblocks all signals and resets their
/// dispositions. SIGHUP and SIGQUIT stay ignored if they were (nohup, `&` in a script); SIGPIPE and SIGXFSZ
/// are ignored, so that writing to a closed pipe or beyond `ulimit -f` returns an error.
void start_daemon() noexcept;

/// Blocks SIGTERM and SIGINT and returns the set of both, for a signalfd. REQUIRES: one thread.
sigset_t block_stop_signals() noexcept;

}  // namespace weft
