// SPDX-License-Identifier: MIT
// Blobs, which are too large for a message: arguments, which workers fetch, and results that are being
// fetched.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "client/core/events.hpp"
#include "common/base/bytes.hpp"
#include "common/system/hash.hpp"

namespace weft::client {

/// The large arguments of tasks without a final answer, each stored once however many tasks use it.
/// Thread-safe.
class ArgumentStore {
 public:
  /// Counts a task that uses these bytes, and copies the bytes if they are new. Returns their id.
  BlobId add(std::string_view bytes);
  /// Counts one more task that uses the stored blob.
  void retain(const BlobId& id);
  /// One task fewer uses the blob; the last one frees it.
  void release(const BlobId& id);
  /// A part of the blob, at most one chunk; nullopt: there is no such blob, or `offset` is beyond its end.
  std::optional<Bytes> read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;
  std::size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<const std::string> text;
    std::size_t tasks = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<BlobId, Entry> entries_;
};

/// Large results, received chunk by chunk. Chunks are hashed as they arrive, so that verify() does not block
/// the loop to read the whole result. Owned by one thread.
class ResultStore {
 public:
  void store(const StoreChunk& chunk);
  /// Checks the hash after all chunks have been stored: BlobReady or BlobBad.
  Event verify(const BlobId& id);
  /// The bytes of a verified blob; `move`: moves the bytes out and forgets the blob, instead of copying.
  std::string take(const BlobId& id, bool move);
  void drop(const BlobId& id) { entries_.erase(id); }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string text;
    std::set<std::uint64_t> early;  // offsets of chunks that have not been hashed yet
    std::uint64_t hashed = 0;       // number of bytes hashed, from the start
    std::unique_ptr<Hasher> hasher;
    bool no_room = false;
  };
  std::unordered_map<BlobId, Entry> entries_;
};

}  // namespace weft::client
