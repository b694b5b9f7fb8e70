// SPDX-License-Identifier: MIT
// HeldBlobs: which large results this worker retains for which sessions. Two tasks may produce the same
// bytes: a blob is released when each of their results has been dropped or its session has ended. Pure; part
// of worker::WorkerCore.
#pragma once

#include <map>

#include "worker/core/events.hpp"

namespace weft::worker {

class HeldBlobs {
 public:
  /// A task of `session` has produced this result.
  void add(const Uuid& session, const wire::BlobRef& blob);
  /// One user of the blob has fetched it.
  void drop(const BlobId& id, Actions& actions);
  void end_session(const Uuid& session, Actions& actions);
  /// Answers a GET by ServeChunk, or by GONE with the reason.
  void serve(const wire::Get& get, Actions& actions) const;

  bool holds(const BlobId& id) const { return blobs_.count(id) > 0; }
  bool holds_any(const Uuid& session) const;
  bool empty() const { return blobs_.empty(); }

 private:
  struct Held {
    std::uint64_t size = 0;
    std::map<Uuid, std::uint32_t> users;  // number of results, by session
  };
  std::map<BlobId, Held> blobs_;
};

}  // namespace weft::worker
