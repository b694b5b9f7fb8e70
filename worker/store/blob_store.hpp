// SPDX-License-Identifier: MIT
// BlobStore: the bytes behind the session's BlobKeys, each in a memfd: programs and libraries (also in
// the Cache on disk), large arguments, large results. Performs the blob actions and answers them
// with events. Owned by the shell.
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
  /// `files_max`: descriptors for arguments, and as many for results. Arguments beyond that wait for others
  /// to go, results beyond that are mapped instead.
  explicit BlobStore(Cache& cache, std::size_t files_max = SIZE_MAX) : cache_(cache), files_max_(files_max) {}

  /// nullopt: another worker on this host is fetching it, or there is no descriptor for it now; retry() will
  /// have the answer.
  std::optional<Event> find(const FindBlob& action);
  std::optional<Event> store(const StoreChunk& action);
  Event admit(const BlobKey& key);
  void abandon(const BlobKey& key);
  void release(const BlobKey& key);

  bool waits_for_others() const { return !busy_.empty(); }
  /// Looks again for everything that had to wait.
  std::vector<Event> retry();

  /// Memory that all of them take.
  std::uint64_t bytes() const;
  /// The memfd of a ready blob. REQUIRES: it is ready.
  int fd(const BlobKey& key) const { return ready_.at(key).get(); }
  /// Keeps what a runner has made, and says what it is called. Throws std::system_error.
  BlobId add_result(Fd memory);
  /// Part of a result; "" when it cannot be read.
  std::string read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;

 private:
  /// What a runner has made, without a descriptor.
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
  struct Coming {
    std::uint64_t size = 0;
    std::string name;
    Cache::Part part;  // of a file
    Fd memory;         // of an argument
  };

  Event admit(const BlobKey& key, Coming& coming);
  std::size_t count(BlobPlace place) const { return counts_[static_cast<std::size_t>(place)]; }
  void add_ready(const BlobKey& key, Fd memory);

  Cache& cache_;
  const std::size_t files_max_;
  std::map<BlobKey, Fd> ready_;
  std::array<std::size_t, 3> counts_{};  // of ready_, by place
  std::map<BlobId, Mapping> mapped_;
  std::map<BlobKey, Coming> coming_;
  std::map<BlobKey, FindBlob> busy_;
};

}  // namespace weft::worker
