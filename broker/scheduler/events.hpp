// SPDX-License-Identifier: MIT
// The events that go into Scheduler and the actions that come out, as plain values; actions can be compared.
// Events and actions about blobs are the same in all three roles: common/wire/blob_verbs.hpp. The broker's
// blobs are in the directory FILE.blobs of the journal FILE.
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
  bool by_peer = true;  // the peer's kernel closed or reset it; false: the peer was no longer reachable
};
/// The process of this session's client, which runs on the broker's host, has ended.
struct ProcessGone {
  Uuid session;
};
struct Tick {};
/// The broker is about to end: sends GOODBYE to all peers.
struct Shutdown {
  std::string reason;
};
/// The content of the journal and its blob directory when the broker started. The first event, if there is a
/// journal.
struct Recovered {
  std::vector<JournalRecord> records;
  std::vector<BlobId> blobs;
};
/// Answers Persist and RewriteJournal.
struct Persisted {
  std::uint64_t number = 0;
  std::string fault;  // "": the write is durable; otherwise the reason why none of it is
};
using Event = std::variant<Received, ReceivedGarbage, PeerGone, ProcessGone, Tick, Shutdown, Recovered,
                           Persisted, BlobReady, BlobBad>;

// ---- actions ----

struct Send {
  PeerId peer = kNoPeer;
  wire::Message message;
  bool operator==(const Send&) const = default;
};
/// Send what is queued for this connection, then forget the connection.
struct ForgetPeer {
  PeerId peer = kNoPeer;
  bool operator==(const ForgetPeer&) const = default;
};
/// For the log and for observers.
struct Notify {
  Indirect<Notice> notice;
  bool operator==(const Notify&) const = default;
};
/// Append a row to the journal. At most one row or rewrite is under way at a time.
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
/// Answer a GET of this peer with a chunk from the blob directory.
struct ServeChunk {
  PeerId peer = kNoPeer;
  wire::Get get;
  bool operator==(const ServeChunk&) const = default;
};
using Action = std::variant<Send, ForgetPeer, Notify, Persist, RewriteJournal, StoreChunk, VerifyBlob,
                            ServeChunk, DropBlob>;
using Actions = std::vector<Action>;

}  // namespace weft::broker
