// SPDX-License-Identifier: MIT
// What goes into client::Session and what comes out. Plain values; actions compare.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/messages.hpp"

namespace weft::client {

// ---- events, from the link ----

struct LinkUp {};
/// The connection is gone, or never came up.
struct LinkDown {
  std::string reason;
};
struct Received {
  wire::Message message;
  std::uint8_t minor = wire::kMinor;  // version of the broker
};
/// A frame that cannot be decoded; `version` when it is of another major version.
struct ReceivedGarbage {
  std::string reason;
  bool version = false;
};

// ---- events, from the program ----

/// From now on tasks may name spec number `spec`. Numbers are not used twice.
struct DefineSpec {
  std::uint32_t spec = 0;
  wire::TaskSpec content;
};
/// No further task will name it.
struct RetireSpec {
  std::uint32_t spec = 0;
};
/// REQUIRES: each number is larger than all before it, and its spec is defined.
struct Submit {
  std::vector<wire::SubmitRecord> tasks;
};
struct CancelTasks {
  std::vector<std::uint64_t> seqs;
};
/// The program has the answer of this task, which was detached or attached. (So it has after CancelTasks.)
struct Taken {
  std::uint64_t seq = 0;
};
/// Answers VerifyBlob.
struct BlobVerified {
  BlobId id;
  enum class Verdict : std::uint8_t { whole, corrupt, no_room } verdict = Verdict::whole;
};
/// The program is done with this client: GOODBYE. Every task that is open is forgotten.
struct Close {};
struct Tick {};

using Event = std::variant<LinkUp, LinkDown, Received, ReceivedGarbage, DefineSpec, RetireSpec, Submit,
                           CancelTasks, Taken, BlobVerified, Close, Tick>;

// ---- actions ----

struct OpenLink {
  bool operator==(const OpenLink&) const = default;
};
struct CloseLink {
  bool operator==(const CloseLink&) const = default;
};
struct Send {
  wire::Message message;
  bool operator==(const Send&) const = default;
};

/// The one answer to a task.
struct Completion {
  std::uint64_t seq = 0;
  wire::Outcome outcome = wire::Outcome::ok;
  std::uint32_t attempts = 1;  // executions that ended, this one included; 0: it never ran
  bool takes_blob = false;     // the payload is a stored blob that no other task waits for: move it
  wire::Payload payload;  // the result (inline, or a blob that is stored here) or an ErrorInfo, or nothing
  std::vector<std::string> history;  // a line for each attempt that was lost or failed
  wire::Payload arguments;  // of a task that failed; a blob among them is released by whoever takes them
  bool operator==(const Completion&) const = default;
};
struct Complete {
  std::vector<Completion> tasks;
  bool operator==(const Complete&) const = default;
};
/// Hint: these tasks are being executed (or, `running` false, wait again).
struct MarkRunning {
  std::vector<std::uint64_t> seqs;
  bool running = true;
  bool operator==(const MarkRunning&) const = default;
};

/// So many detached tasks more are safe: the broker's journal has them, or they are answered. `refused` of
/// them were answered because the broker does not keep them, and `reason` is why, of the first.
struct MarkKept {
  std::size_t tasks = 0;
  std::size_t refused = 0;
  std::string reason;
  bool operator==(const MarkKept&) const = default;
};
/// The broker has the CANCEL of these tasks, or needs none.
struct CancelsSettled {
  std::vector<std::uint64_t> seqs;
  bool operator==(const CancelsSettled&) const = default;
};

/// Keep these bytes of a result of `size` bytes.
struct StoreChunk {
  BlobId id;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  Bytes bytes;
  bool operator==(const StoreChunk&) const = default;
};
/// All bytes are stored: compare their hash, and answer with BlobVerified.
struct VerifyBlob {
  BlobId id;
  bool operator==(const VerifyBlob&) const = default;
};
/// What was stored of this result is not wanted.
struct DropBlob {
  BlobId id;
  bool operator==(const DropBlob&) const = default;
};
/// One task less needs this argument; the shell counts.
struct ReleaseArgument {
  BlobId id;
  bool operator==(const ReleaseArgument&) const = default;
};
/// The broker asks for a piece of an argument or program: answer with DATA or GONE.
struct ServeChunk {
  wire::Get get;
  bool operator==(const ServeChunk&) const = default;
};

/// It is over: every open task fails with this reason, and nothing more will happen.
struct GaveUp {
  std::string reason;
  bool operator==(const GaveUp&) const = default;
};
struct Log {
  enum class Level : std::uint8_t { info, warning } level = Level::info;
  std::string text;
  bool operator==(const Log&) const = default;
};

using Action = std::variant<OpenLink, CloseLink, Send, Complete, MarkRunning, MarkKept, CancelsSettled,
                            StoreChunk, VerifyBlob, DropBlob, ReleaseArgument, ServeChunk, GaveUp, Log>;
using Actions = std::vector<Action>;

}  // namespace weft::client
