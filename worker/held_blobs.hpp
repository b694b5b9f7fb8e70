// SPDX-License-Identifier: MIT
// HeldBlobs: which large results this worker keeps for whom. Two tasks may make the same bytes: a
// blob goes when each of them was dropped or its session has ended. Pure; part of worker::Session.
#pragma once

#include <map>

#include "worker/events.hpp"

namespace weft::worker {

class HeldBlobs {
 public:
  /// A task of `session` has this result.
  void add(const Uuid& session, const wire::BlobRef& blob);
  /// One of its users has the bytes.
  void drop(const BlobId& id, Actions& actions);
  void end_session(const Uuid& session, Actions& actions);
  /// Answers one GET: ServeChunk, or GONE with the reason.
  void serve(const wire::Get& get, Actions& actions) const;

  bool holds(const BlobId& id) const { return blobs_.count(id) > 0; }
  bool holds_any(const Uuid& session) const;
  bool empty() const { return blobs_.empty(); }

 private:
  struct Held {
    std::uint64_t size = 0;
    std::map<Uuid, std::uint32_t> users;  // results by session
  };
  std::map<BlobId, Held> blobs_;
};

}  // namespace weft::worker
