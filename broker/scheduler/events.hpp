// SPDX-License-Identifier: MIT
// Events (input) and actions (output) of Scheduler. Plain values; actions compare. The events and actions
// about blobs are those of all three roles (common/wire/blob_verbs.hpp); here they are about the blob
// directory of the journal.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "broker/scheduler/access.hpp"
#include "broker/scheduler/journal_records.hpp"
#include "common/base/indirect.hpp"
#include "common/wire/blob_verbs.hpp"
#include "common/wire/messages.hpp"
#include "common/wire/notice.hpp"

namespace weft::broker {

/// A connection, as the shell numbers them. Never reused.
using PeerId = std::uint64_t;
inline constexpr PeerId kNoPeer = 0;

// ---- events ----

struct Received {
  PeerId peer = kNoPeer;
  wire::Message message;
  std::uint8_t minor = wire::kMinor;  // version of the peer
  IdentityPtr identity = nullptr;     // who opened the connection
};
/// A frame that cannot be decoded; `version`: because it is of another major version.
struct ReceivedGarbage {
  PeerId peer = kNoPeer;
  std::string reason;
  bool version = false;
};
/// The connection is closed, or a send to it failed for good.
struct PeerGone {
  PeerId peer = kNoPeer;
  bool by_peer = true;  // the peer's kernel closed or reset it; false: the peer can no longer be reached
};
/// The process of this session's client, which runs on the broker's host, has ended.
struct ProcessGone {
  Uuid session;
};
struct Tick {};
/// The broker is about to exit: GOODBYE goes to all peers.
struct Shutdown {
  std::string reason;
};
/// What the journal and its blob directory held when the broker started. The first event, if there is a
/// journal.
struct Recovered {
  std::vector<JournalRecord> records;
  std::vector<BlobId> blobs;
};
/// Answers Persist and RewriteJournal.
struct Persisted {
  std::uint64_t number = 0;
  std::string fault;  // "": the whole write is durable; otherwise why none of it is
};
using Event = std::variant<Received, ReceivedGarbage, PeerGone, ProcessGone, Tick, Shutdown, Recovered,
                           Persisted, BlobReady, BlobBad>;

// ---- actions ----

struct Send {
  PeerId peer = kNoPeer;
  wire::Message message;
  bool operator==(const Send&) const = default;
};
/// This connection ends after the frames already sent to it have gone out.
struct ForgetPeer {
  PeerId peer = kNoPeer;
  bool operator==(const ForgetPeer&) const = default;
};
/// For the log and for observers.
struct Notify {
  Indirect<Notice> notice;
  bool operator==(const Notify&) const = default;
};
/// Append a row (a batch of records) to the journal. One write is under way at a time.
struct Persist {
  std::uint64_t number = 0;
  std::string row;
  bool operator==(const Persist&) const = default;
};
/// Replace the whole journal by these rows.
struct RewriteJournal {
  std::uint64_t number = 0;
  std::vector<std::string> rows;
  bool operator==(const RewriteJournal&) const = default;
};
/// Answer the GET of `peer` from the blob directory.
struct ServeChunk {
  PeerId peer = kNoPeer;
  wire::Get get;
  bool operator==(const ServeChunk&) const = default;
};
using Action = std::variant<Send, ForgetPeer, Notify, Persist, RewriteJournal, StoreChunk, VerifyBlob,
                            ServeChunk, DropBlob>;
using Actions = std::vector<Action>;

}  // namespace weft::broker
