// SPDX-License-Identifier: MIT
// BlobRelay passes chunks of blobs from their holders to the peers that asked for them, and caches programs,
// so that a broker fetches each program once. Requests for the same chunk are merged (coalescing). Holders
// are named by the uuid of their session or incarnation; the caller says which of them can be reached. Pure.
//
// Invariant: a chunk is asked of one holder at a time, and every peer that asked for it is answered once.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "common/wire/messages.hpp"

namespace weft::broker {

class BlobRelay {
 public:
  using PeerId = std::uint64_t;
  static constexpr PeerId kOwnPeer = ~PeerId{0};  // the broker itself, for BlobVault
  struct Outgoing {
    PeerId peer;  // 0: to `holder` instead
    Uuid holder;
    wire::Message message;
  };
  using Outbox = std::vector<Outgoing>;
  enum class Reach : std::uint8_t {
    never,  // the holder has left
    later,  // the holder is not connected, or silent, and may come back
    now,
  };
  using Reachable = std::function<Reach(const Uuid& holder)>;

  /// Caches at most `kept_bytes_max` bytes of programs; further chunks are fetched for each request.
  explicit BlobRelay(std::size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}

  /// Session `holder` has program or library `id`; its chunks are cached.
  void add_program(const Uuid& holder, const BlobId& id);
  /// `peer` asks for a chunk: answers from the cache, or asks a holder.
  void get(PeerId peer, const wire::Get& get, const Reachable& reachable, Outbox& out);
  /// A chunk came: passes it to all peers that asked for it.
  void data(const wire::Data& data, Outbox& out);
  /// `holder` does not have the blob: asks another one, or tells the peers that asked.
  void gone(const Uuid& holder, const wire::Gone& gone, const Reachable& reachable, Outbox& out);
  /// `holder` is silent or not connected for now: its pending chunks are asked of another reachable holder,
  /// if there is one.
  void fall_back(const Uuid& holder, const Reachable& reachable, Outbox& out);
  /// `holder` is connected again: its pending chunks are asked of it again.
  void resume(const Uuid& holder, Outbox& out);
  /// `holder` is gone for good: its pending chunks are asked of another holder, or answered with GONE.
  void remove_holder(const Uuid& holder, const Reachable& reachable, Outbox& out);
  /// Connection `peer` is gone: forgets its requests.
  void remove_peer(PeerId peer);

  std::size_t kept_bytes() const { return kept_bytes_; }
  std::size_t pending() const { return pending_.size(); }

 private:
  struct Program {
    std::set<Uuid> holders;
    std::unordered_map<std::uint64_t, Bytes> chunks;  // by offset
  };
  struct Pending {
    wire::Get get;
    std::vector<PeerId> needers;
  };
  using Key = std::pair<BlobId, std::uint64_t>;

  std::optional<Uuid> other_holder(const BlobId& id, const Uuid& not_this, const Reachable& reachable,
                                   Reach at_least) const;
  bool ask_other(Pending& pending, const Reachable& reachable, Reach at_least, Outbox& out) const;
  void give_up(std::map<Key, Pending>::iterator entry, const std::string& reason, Outbox& out);

  std::unordered_map<BlobId, Program> programs_;
  std::map<Key, Pending> pending_;
  std::size_t kept_bytes_max_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace weft::broker
