// SPDX-License-Identifier: MIT
// BlobStore: the bytes behind the session's BlobKeys, each in a memfd: programs and libraries (also in
// the Cache on disk), large arguments, large results. Performs the blob actions and answers them
// with events. Owned by the shell.
#pragma once

#include <map>
#include <optional>

#include "worker/cache.hpp"
#include "worker/events.hpp"

namespace weft::worker {

class BlobStore {
 public:
  explicit BlobStore(Cache& cache) : cache_(cache) {}

  /// nullopt: another worker on this host is fetching it; retry() will have the answer.
  std::optional<Event> find(const FindBlob& action);
  std::optional<Event> store(const StoreChunk& action);
  Event admit(const BlobKey& key);
  void abandon(const BlobKey& key);
  void release(const BlobKey& key) { ready_.erase(key); }

  bool waits_for_others() const { return !busy_.empty(); }
  /// Looks again for everything that another worker was fetching.
  std::vector<Event> retry();

  /// The memfd of a ready blob. REQUIRES: it is ready.
  int fd(const BlobKey& key) const { return ready_.at(key).get(); }
  /// Keeps what a runner has made, and says what it is called. Throws std::system_error.
  BlobId add_result(Fd memory);
  /// Part of a result; "" when it cannot be read.
  std::string read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;

 private:
  struct Coming {
    std::uint64_t size = 0;
    std::string name;
    Cache::Part part;  // of a file
    Fd memory;         // of an argument
  };

  Event admit(const BlobKey& key, Coming& coming);

  Cache& cache_;
  std::map<BlobKey, Fd> ready_;
  std::map<BlobKey, Coming> coming_;
  std::map<BlobKey, FindBlob> busy_;
};

}  // namespace weft::worker
