// SPDX-License-Identifier: MIT
// BlobRelay passes chunks of blobs from those who hold them to those who asked, and keeps
// programs, so that each is fetched once per broker. Pure; a part of Scheduler. It speaks of holders by
// the uuid of their session or incarnation; the caller says which of them can be reached.
//
// Invariant: a chunk is asked of one holder at a time, and everyone who asked for it is answered once.
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
  static constexpr PeerId kOwnPeer = ~PeerId{0};  // the broker itself, which keeps blobs of detached tasks
  struct Outgoing {
    PeerId peer;  // 0: to `holder` instead
    Uuid holder;
    wire::Message message;
  };
  using Outbox = std::vector<Outgoing>;
  enum class Reach : std::uint8_t {
    never,  // it has left
    later,  // it is not connected, or silent, and may come back
    now,
  };
  using Reachable = std::function<Reach(const Uuid& holder)>;

  /// Keeps at most so many bytes of programs; the chunks beyond are fetched each time.
  explicit BlobRelay(std::size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}

  /// Session `holder` has program or library `id`, which is worth keeping.
  void add_program(const Uuid& holder, const BlobId& id);
  /// `peer` asks for a chunk.
  void get(PeerId peer, const wire::Get& get, const Reachable& reachable, Outbox& out);
  /// A chunk came.
  void data(const wire::Data& data, Outbox& out);
  /// Holder `holder` says that it has no such blob.
  void gone(const Uuid& holder, const wire::Gone& gone, const Reachable& reachable, Outbox& out);
  /// Holder `holder` is silent or not connected, for now: what was asked of it is asked of another, if one is
  /// there.
  void fall_back(const Uuid& holder, const Reachable& reachable, Outbox& out);
  /// Holder `holder` is connected again: what was asked of it is asked again.
  void resume(const Uuid& holder, Outbox& out);
  /// Holder `holder` is gone for good.
  void remove_holder(const Uuid& holder, const Reachable& reachable, Outbox& out);
  /// Connection `peer` is gone and needs nothing more.
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
