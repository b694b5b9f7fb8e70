// SPDX-License-Identifier: MIT
// Runs an executable as a task: arguments and stdin in, stdout and stderr out.
#pragma once

#include "weft/command.hpp"

namespace weft::runner {

/// Runs `request` and waits for its end. Output that its own children write after that is not waited
/// for. The command dies with this process. Throws Failure when it cannot be run at all. Blocks;
/// one at a time in a process, since it ignores SIGPIPE meanwhile.
CommandResult run_command(const detail::CommandRequest& request);

}  // namespace weft::runner
