// SPDX-License-Identifier: MIT
// Events into client::ClientCore and actions out of it. Plain values; actions can be compared. Events and
// actions about blobs are in common/wire/blob_verbs.hpp, since all three roles share them: the client fetches
// and stores large results, and serves arguments and program files.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/indirect.hpp"
#include "common/wire/blob_verbs.hpp"
#include "common/wire/messages.hpp"
#include "common/wire/notice.hpp"

namespace weft::client {

// ---- events, from the link ----

struct LinkUp {};
/// The connection was lost, or could not be made.
struct LinkDown {
  std::string reason;
};
struct Received {
  wire::Message message;
  std::uint8_t minor = wire::kMinor;  // the broker's minor version
};
/// A frame that cannot be decoded; `version`: because the broker has another major version.
struct ReceivedGarbage {
  std::string reason;
  bool version = false;
};

// ---- events, from the program ----

/// Defines spec number `spec` for later tasks. Numbers are not reused.
struct DefineSpec {
  std::uint32_t spec = 0;
  wire::TaskSpec content;
};
/// No further task will refer to the spec.
struct RetireSpec {
  std::uint32_t spec = 0;
};
/// REQUIRES: each seq is larger than all before it, and its spec is defined.
struct Submit {
  std::vector<wire::SubmitRecord> tasks;
};
struct CancelTasks {
  std::vector<std::uint64_t> seqs;
};
/// The program has the answer of this task, which was detached or attached. (CancelTasks implies this.)
struct Taken {
  std::uint64_t seq = 0;
};
/// The Client is being destroyed: sends GOODBYE and forgets every open task.
struct Close {};
/// Time has passed: does what is due, and acknowledges.
struct Tick {};

using Event = std::variant<LinkUp, LinkDown, Received, ReceivedGarbage, DefineSpec, RetireSpec, Submit,
                           CancelTasks, Taken, BlobReady, BlobBad, Close, Tick>;

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

/// The final answer to a task, of which there is one.
struct Completion {
  std::uint64_t seq = 0;
  wire::Outcome outcome = wire::Outcome::ok;
  std::uint32_t attempts = 1;  // executions that ended, including the last one; 0: the task never ran
  bool takes_blob = false;     // the payload is a stored blob that no other task needs, so it can be moved
  wire::Payload payload;       // the result (inline, or a stored blob), an ErrorInfo, or nothing
  std::vector<std::string> history;  // a line for each lost or failed attempt
  wire::Payload arguments;           // of a failed task; if they are a blob, the receiver must release it
  bool operator==(const Completion&) const = default;
};
struct Complete {
  std::vector<Completion> tasks;
  bool operator==(const Complete&) const = default;
};
/// A hint: these tasks are running (or, if not `running`, queued again).
struct MarkRunning {
  std::vector<std::uint64_t> seqs;
  bool running = true;
  bool operator==(const MarkRunning&) const = default;
};

/// `tasks` more detached tasks are safe: the broker's journal (write-ahead log) has them, or they are
/// answered. The broker refused `refused` of them, the first one for `reason`.
struct MarkJournaled {
  std::size_t tasks = 0;
  std::size_t refused = 0;
  std::string reason;
  bool operator==(const MarkJournaled&) const = default;
};
/// The broker has the CANCEL of these tasks, or does not need it.
struct CancelsSettled {
  std::vector<std::uint64_t> seqs;
  bool operator==(const CancelsSettled&) const = default;
};

/// One task fewer needs this large argument; the shell counts the tasks.
struct ReleaseArgument {
  BlobId id;
  bool operator==(const ReleaseArgument&) const = default;
};

/// The session is over: every open task fails with this reason.
struct GaveUp {
  std::string reason;
  bool operator==(const GaveUp&) const = default;
};
/// For the log.
struct Notify {
  Indirect<Notice> notice;
  bool operator==(const Notify&) const = default;
};

using Action = std::variant<OpenLink, CloseLink, Send, Complete, MarkRunning, MarkJournaled, CancelsSettled,
                            StoreChunk, VerifyBlob, ServeChunk, DropBlob, ReleaseArgument, GaveUp, Notify>;
using Actions = std::vector<Action>;

}  // namespace weft::client
