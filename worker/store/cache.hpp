// SPDX-License-Identifier: MIT
// Cache: programs and libraries on disk, named by the hash of their content. All workers of a user on this
// host share it, and it outlives them. A file is hashed while it is copied into sealed memory, and that copy
// is what runs, so later changes of the file do not matter. The layout of the directory is in
// common/system/program_cache.hpp.
#pragma once

#include <string>

#include "common/system/fd.hpp"
#include "weft/ids.hpp"

namespace weft::worker {

/// Copies the first `size` bytes of `fd` into a sealed memfd, which can never change and may be executed.
/// `id` becomes their hash. Throws std::system_error.
Fd sealed_copy(int fd, std::uint64_t size, const std::string& name, BlobId& id);

class Cache {
 public:
  /// A blob that is being stored in the cache. Destroying it before admit() removes the partial file.
  class Part {
   public:
    Part() = default;
    Part(Part&&) noexcept = default;
    Part& operator=(Part&&) noexcept;
    ~Part() { abandon(); }
    int fd() const { return fd_.get(); }
    explicit operator bool() const { return static_cast<bool>(fd_); }

   private:
    friend class Cache;
    void abandon();
    std::string path_;
    Fd fd_;  // holds the flock() by which one worker of a host fetches the blob
  };
  enum class Begin { mine, busy, complete };

  /// Throws std::runtime_error, with the reason, when `directory` cannot be used.
  explicit Cache(const std::string& directory);

  /// The sealed content, which counts as used until release(). Empty when the blob is missing or damaged; a
  /// damaged file is removed. Throws std::system_error.
  Fd load(const BlobId& id, std::uint64_t size, const std::string& name);
  /// Starts to store a blob. mine: `part` takes its bytes. busy: another worker on this host is fetching the
  /// blob. complete: the blob is in the cache now, for load(). Throws std::system_error.
  Begin begin(const BlobId& id, Part& part);
  /// Admits a blob whose bytes are all in `part`, and returns the sealed content, which counts as used until
  /// release(). Evicts other blobs above the limit. Throws std::runtime_error when the hash differs.
  Fd admit(const BlobId& id, std::uint64_t size, const std::string& name, Part part);
  /// This worker no longer uses the blob, so it may be evicted.
  void release(const BlobId& id);

  /// A new directory for this worker alone, removed by the destructor. The constructor removes the
  /// directories of dead workers.
  const std::string& run_directory() const { return run_directory_; }
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

 private:
  std::string path_of(const BlobId& id) const { return directory_ + "/blobs/" + id.text(); }
  std::string mark_of(const BlobId& id) const { return run_directory_ + "/used/" + id.text(); }
  void make_run_directory(const std::string& runs);
  void mark(const BlobId& id, const std::string& name) const;
  void trim(const BlobId& newest) const;

  std::string directory_;
  std::string run_directory_;
  Fd run_lock_;
};

}  // namespace weft::worker
