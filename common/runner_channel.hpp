// SPDX-License-Identifier: MIT
// What an agent (weft-worker) and a runner say to each other: messages over a SOCK_SEQPACKET
// socketpair, and a shared page that outlives the runner. PROTOCOL.md, "The runner channel", has
// the rules. The version below is in the environment variable, so that a program that was linked
// with another libclient is told apart before it says a word.
//
// Tasks are numbered by the agent with an ordinal: 1, 2, 3 ... for each runner. A runner executes
// them strictly in that order, so `started` and `finished` in the page say exactly which task was
// running when it died, whatever it did to its descriptors.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/messages.hpp"
#include "common/result.hpp"

namespace weft::runner {

inline constexpr int kChannelVersion = 1;

/// WEFT_RUNNER="<kChannelVersion>:<channel fd>:<page fd>" selects runner mode. Removed from the
/// environment as soon as it is read.
inline constexpr const char* kEnvironment = "WEFT_RUNNER";

/// No record, and no packed message of records, is larger; kInlineBytesMax and a small header fit.
inline constexpr std::size_t kChannelBytesMax = 128 << 10;

/// What the agent puts into a new page: 0 would look like a page that a task has filled with zeros.
inline constexpr std::uint64_t kNoneStarted = 0x7765'6674'7061'6765;

/// Shared memory (a sealed-size memfd, mapped by both). Only the runner writes, but for `stop`.
struct Page {
  std::atomic<std::uint64_t> started;       // ordinal of the last task begun; kNoneStarted before the first
  std::atomic<std::uint64_t> finished;      // ordinal of the last task ended, result published or not
  std::atomic<std::int64_t> started_at_us;  // CLOCK_MONOTONIC
  std::atomic<std::uint64_t> stop;          // ordinal that this_task::stop_requested() is true for
};
inline constexpr std::size_t kPageBytes = 4096;
static_assert(sizeof(Page) <= kPageBytes && std::atomic<std::uint64_t>::is_always_lock_free);

// ---- runner to agent ----

struct FunctionEntry {
  std::string name;       // for people; a library's task name
  std::string signature;  // "long(long,double)"
  bool operator==(const FunctionEntry&) const = default;
};

/// The first message. Entry i is function_index i of a program; a library's are found by name.
/// Sent in parts when the table is long; `total` is the size of the whole table.
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
  std::string inline_payload;                 // the encoded result, or an encoded wire::ErrorInfo
  std::uint64_t large_bytes = 0;  // when not 0: the payload is in the memfd that came with the message
  bool operator==(const TaskDone&) const = default;
};

// ---- agent to runner ----

struct RunTask {
  std::uint64_t ordinal = 0;
  TaskId id;
  wire::TaskKind kind = wire::TaskKind::program;
  std::uint32_t function_index = 0;
  std::string function;   // for a library: its name there
  std::string signature;  // for a library: what the caller believes
  std::string worker;     // this_task::worker()
  std::uint32_t execution = 1;
  std::string inline_payload;
  std::uint64_t large_bytes = 0;  // as in TaskDone
  bool operator==(const RunTask&) const = default;
};

using Message = std::variant<RunnerHello, TaskDone, RunTask>;

std::string encode(const Message& message);
Result<Message> decode(std::string_view text);

/// The result of receive(): a message with the descriptor that came with it (-1: none; the caller
/// owns it), or why there is none.
struct Received {
  enum class Kind { message, again, closed, garbage } kind = Kind::again;
  std::optional<Message> message;
  int fd = -1;
  std::string reason;  // for closed and garbage
};

/// Sends one message, with descriptor `fd` when it is not -1 (which stays the caller's). Returns
/// 0, or errno (EAGAIN when the channel is full and non-blocking).
int send(int channel, const Message& message, int fd = -1);
/// Receives one message; blocks or not as the channel does.
Received receive(int channel);

}  // namespace weft::runner
