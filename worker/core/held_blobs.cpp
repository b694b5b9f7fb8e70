// SPDX-License-Identifier: MIT
#include "worker/core/held_blobs.hpp"

namespace weft::worker {

void HeldBlobs::add(const Uuid& session, const wire::BlobRef& blob) {
  Held& held = blobs_[blob.id];
  held.size = blob.size;
  ++held.users[session];
}

void HeldBlobs::drop(const BlobId& id, Actions& actions) {
  const auto found = blobs_.find(id);
  if (found == blobs_.end()) return;  // the session has ended
  // DROP does not name a session. Should this drop the use of another session, its client announces the task
  // again.
  auto& users = found->second.users;
  if (--users.begin()->second == 0) users.erase(users.begin());
  if (!users.empty()) return;
  blobs_.erase(found);
  actions.push_back(ReleaseBlob{{BlobPlace::result, id}});
}

void HeldBlobs::end_session(const Uuid& session, Actions& actions) {
  for (auto it = blobs_.begin(); it != blobs_.end();) {
    it->second.users.erase(session);
    if (!it->second.users.empty()) {
      ++it;
      continue;
    }
    actions.push_back(ReleaseBlob{{BlobPlace::result, it->first}});
    it = blobs_.erase(it);
  }
}

void HeldBlobs::serve(const wire::Get& get, Actions& actions) const {
  const auto found = blobs_.find(get.id);
  if (found == blobs_.end()) {
    actions.push_back(Send{wire::Gone{get.id, "the worker no longer has this result"}});
    return;
  }
  const std::uint64_t size = found->second.size;
  if (get.bytes == 0 || get.bytes > wire::kChunkBytes || get.offset >= size ||
      get.bytes > size - get.offset) {
    actions.push_back(Send{wire::Gone{get.id, "the blob has no such range"}});
    return;
  }
  actions.push_back(ServeChunk{get.id, get.offset, get.bytes});
}

bool HeldBlobs::holds_any(const Uuid& session) const {
  for (const auto& [id, held] : blobs_)
    if (held.users.count(session)) return true;
  return false;
}

}  // namespace weft::worker
