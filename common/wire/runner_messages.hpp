// SPDX-License-Identifier: MIT
// The messages between an agent (weft-worker) and a runner as plain values, with their encoding: a byte for
// the type, then an array. common/runner/runner_channel.hpp carries them; PROTOCOL.md, "The runner channel",
// has the rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/messages.hpp"
#include "weft/detail/byte_buffer.hpp"

namespace weft::runner {

/// Exit code of a runner whose processor lacks an instruction of the program, and the beginning of its
/// message.
inline constexpr int kExitInstructionSet = 118;
inline constexpr const char* kInstructionSetWords = "weft runner: this processor does not have ";

/// Exit code of a runner that a task has left in a state in which no other task can run. It has started no
/// task since.
inline constexpr int kExitReplace = 123;

// ---- runner to agent ----

struct FunctionEntry {
  std::string name;  // for display; for a task library, the name of the task
  std::string
      signature;  // "long(long,double)"; for a function of a program, its definition (program_functions.hpp)
  bool operator==(const FunctionEntry&) const = default;
};

/// The first message: the function table, into which RunTask::function_index is an index; tasks of libraries
/// are found by name. A long table is sent in parts; `total` is the size of the whole table.
struct RunnerHello {
  std::uint64_t pid = 0;
  std::uint32_t total = 0;
  std::vector<FunctionEntry> functions;
  bool operator==(const RunnerHello&) const = default;
};

struct TaskDone {
  std::uint64_t ordinal = 0;
  std::uint64_t run_us = 0;
  wire::Outcome outcome = wire::Outcome::ok;  // ok or failed
  std::uint64_t large_bytes = 0;  // if not 0: the payload is in the memfd that comes with the message
  wire::Payload payload;          // inline: the encoded result, or an encoded wire::ErrorInfo
  bool operator==(const TaskDone&) const = default;
};

/// Attributes output: everything printed up to these totals, in bytes since the start of the runner, belongs
/// to the task that the next DONE answers. Omitted if nothing was printed.
struct TaskPrinted {
  std::uint64_t out = 0;
  std::uint64_t err = 0;
  bool operator==(const TaskPrinted&) const = default;
};

// ---- agent to runner ----

/// The first message: the name of the worker (this_task::worker()). Later ones have no name: they end a run
/// of messages that the runner skips, because the agent has taken these tasks back (rebalancing, see
/// kTakenBack).
struct RunnerWelcome {
  std::string worker;
  bool operator==(const RunnerWelcome&) const = default;
};

/// Options that few tasks use.
struct TaskSetup {
  std::string directory;                           // working directory; "": the runner's own
  std::map<std::string, std::string> environment;  // variables that differ from the runner's own
  std::vector<wire::StartCall> start;              // calls before the task, made once in each runner
  std::string indices;  // resource indices that the task holds: a line "gpu=0,1" for each resource
  bool operator==(const TaskSetup&) const = default;
};
// Small enough that a message with a setup and the largest inline payload fits kChannelBytesMax.
inline constexpr std::size_t kSetupBytesMax = 40 << 10;
Bytes encode_setup(const TaskSetup& setup);
Result<TaskSetup> decode_setup(std::string_view bytes);

/// Runs a function of the shipped program.
struct RunTask {
  std::uint64_t ordinal = 0;
  TaskId id;
  std::uint32_t function_index = 0;
  std::uint32_t execution = 1;
  std::uint64_t large_bytes = 0;  // as in TaskDone
  wire::Payload payload;
  // an encoded TaskSetup; "": none. Encoded separately, so that tasks without a setup do not pay for it
  Bytes setup;
  bool operator==(const RunTask&) const = default;
};

/// Runs a task of a library, or a command.
struct RunNamed {
  wire::TaskKind kind = wire::TaskKind::library;
  std::string function;   // name of the task in the library
  std::string signature;  // the signature that the caller expects
  RunTask task;
  bool operator==(const RunNamed&) const = default;
};

using Message = std::variant<RunnerHello, TaskDone, RunnerWelcome, RunTask, RunNamed, TaskPrinted>;

/// Appends the encoded `message`: a Message or one of its alternatives.
template <class M>
void encode(detail::ByteBuffer& out, const M& message);
/// Decodes a copy of `text`, for tests.
Result<Message> decode(std::string_view text);
/// For Channel, which copies messages into private memory: decodes `bytes`. Returns "", or what is wrong, and
/// then `message` may be partially decoded. REQUIRES: kSlack bytes past the end of `bytes` are readable.
std::string decode_into(std::string_view bytes, std::optional<Message>& message);

}  // namespace weft::runner
