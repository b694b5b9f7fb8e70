// SPDX-License-Identifier: MIT
// Runs an executable as a task: arguments and stdin go in, stdout and stderr come out.
#pragma once

#include "weft/command.hpp"

namespace weft::runner {

/// Runs `request` and waits until it ends. Later output of its children is not waited for. The command is
/// killed when this process dies. Blocks, and must not be called concurrently, since it ignores SIGPIPE for
/// the time of the call. Throws Failure when the command cannot be run.
CommandResult run_command(const detail::CommandRequest& request);

}  // namespace weft::runner
