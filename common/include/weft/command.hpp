// SPDX-License-Identifier: MIT
// Commands as tasks: any executable, with arguments and stdin as its input, stdout and stderr as its result.
#pragma once

#include <string>
#include <vector>

#include "weft/serialise.hpp"

namespace weft {

/// How a command ended. A command that ran is a success whatever its exit code; a command that cannot be run
/// is a TaskFailed.
struct CommandResult {
  int exit_code = 0;  // 128 + signal when a signal ended it, as in a shell
  std::string out;    // all of stdout
  std::string err;    // all of stderr
  MSGPACK_DEFINE(exit_code, out, err)
  bool operator==(const CommandResult&) const = default;
};

namespace detail {

/// The payload of a command task: encode(CommandRequest) on the client.
struct CommandRequest {
  std::vector<std::string> argv;  // argv[0] is looked up in the worker's PATH
  std::string input;              // for stdin
  MSGPACK_DEFINE(argv, input)
};

}  // namespace detail
}  // namespace weft
