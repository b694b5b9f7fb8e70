// SPDX-License-Identifier: MIT
// BlobStore: the bytes of the blobs that worker::BlobTable has decided to have. Each is stored once, in a
// memfd: programs and libraries (also in the Cache on disk), large arguments, large results. Zero-copy
// between agent and runners: they pass the descriptors. Performs the actions on blobs and answers them with
// events. Owned by the shell.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "worker/core/events.hpp"
#include "worker/store/cache.hpp"

namespace weft::worker {

class BlobStore {
 public:
  /// `files_max`: number of descriptors for arguments, and the same number for results. Arguments beyond that
  /// wait until others are dropped; results beyond that are mapped and need no descriptor.
  explicit BlobStore(Cache& cache, std::size_t files_max = SIZE_MAX) : cache_(cache), files_max_(files_max) {}

  // ---- actions of the core: BlobReady, BlobMissing or BlobBad answers ----

  /// nullopt: another worker on this host is fetching the blob, or no descriptor is free for it; retry() will
  /// return the answer.
  std::optional<Event> find(const FindBlob& action);
  /// BlobBad if the chunk could not be written; otherwise nullopt.
  std::optional<Event> store(const StoreChunk& action);
  /// Checks the hash of a blob whose chunks have all been stored, and seals its bytes.
  Event verify(const BlobId& id);
  void drop(const BlobId& id);

  /// Whether a find() has not been answered yet.
  bool waits_for_others() const { return !busy_.empty(); }
  /// Repeats each find() that has not been answered, and returns the answers.
  std::vector<Event> retry();

  // ---- bytes ----

  /// Memory that all blobs take, in bytes.
  std::uint64_t bytes() const;
  /// The memfd of a blob. REQUIRES: it is BlobReady.
  int fd(const BlobId& id) const { return stored_.at(id).memory.get(); }
  /// Takes over the memfd of a large result, and returns the id of the blob. Throws std::system_error.
  BlobId add_result(Fd memory);
  /// A part of a stored blob; "" when it cannot be read.
  std::string read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;

 private:
  enum class Origin : std::uint8_t { cache, fetched, made };
  /// The bytes of a result, without a descriptor.
  class Mapping {
   public:
    /// REQUIRES: `memory` cannot shrink. Throws std::system_error.
    Mapping(const Fd& memory, std::uint64_t size);
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping();
    std::string_view bytes() const { return {static_cast<const char*>(memory_), size_}; }

   private:
    void* memory_;
    std::size_t size_;
  };
  struct Stored {
    Origin origin = Origin::cache;
    Fd memory;                       // empty if `mapping` has the bytes
    std::optional<Mapping> mapping;  // of a result for which no descriptor was left
  };
  struct Coming {
    std::uint64_t size = 0;
    std::string name;
    Cache::Part part;  // of a file
    Fd memory;         // of any other blob
  };

  Event verify(const BlobId& id, Coming& coming);
  Event seal_result(const BlobId& id, const Stored& result);
  std::size_t count(Origin origin) const { return counts_[static_cast<std::size_t>(origin)]; }
  void add(const BlobId& id, Origin origin, Fd memory);
  void remove(const BlobId& id);

  Cache& cache_;
  const std::size_t files_max_;
  std::map<BlobId, Stored> stored_;
  std::array<std::size_t, 3> counts_{};  // descriptors in stored_, by origin
  std::map<BlobId, Coming> coming_;      // being fetched
  std::map<BlobId, FindBlob> busy_;      // not yet answered, for retry()
};

}  // namespace weft::worker
