// SPDX-License-Identifier: MIT
// Bytes that are too large for a message: arguments that workers may ask for, and results on their way in.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "client/session_events.hpp"
#include "common/bytes.hpp"
#include "common/hash.hpp"

namespace weft::client {

/// Large arguments of tasks that have no final answer yet, each kept once however many tasks have it.
/// Used from any thread.
class ArgumentStore {
 public:
  /// One task more needs these bytes. Returns their name.
  BlobId add(std::string_view bytes);
  /// The same for bytes that are here.
  void retain(const BlobId& id);
  /// One task less needs them.
  void release(const BlobId& id);
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

/// Large results, chunk by chunk. They are hashed as they come, so that the end takes no longer than
/// any other chunk. Owned by one thread.
class ResultStore {
 public:
  void store(const StoreChunk& chunk);
  /// All chunks are there: are they what the name says?
  BlobVerified verify(const BlobId& id);
  /// The bytes of a whole blob; `move`: they are not needed again.
  std::string take(const BlobId& id, bool move);
  void drop(const BlobId& id) { entries_.erase(id); }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string text;
    std::set<std::uint64_t> early;  // offsets of chunks beyond what is hashed
    std::uint64_t hashed = 0;       // bytes from the start
    std::unique_ptr<Hasher> hasher;
    bool no_room = false;
  };
  std::unordered_map<BlobId, Entry> entries_;
};

}  // namespace weft::client
