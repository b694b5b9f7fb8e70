// SPDX-License-Identifier: MIT
// Cache: programs and libraries on disk, named by the hash of their content, shared by all workers of
// a user on this host, and kept when they end. What is loaded is hashed while it is copied into
// sealed memory, and that copy is what is used: what happens to the file later does not matter. What is in
// the directory: common/program_cache.hpp.
#pragma once

#include <string>

#include "common/fd.hpp"
#include "weft/ids.hpp"

namespace weft::worker {

/// A memfd with the first `size` bytes of `fd`, which can never change again, and may be executed.
/// Throws std::system_error. `id` gets the hash of those bytes.
Fd sealed_copy(int fd, std::uint64_t size, const std::string& name, BlobId& id);

class Cache {
 public:
  /// A blob on its way into the cache. Dropping it without admit() leaves nothing behind.
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
    Fd fd_;  // holds the lock
  };
  enum class Begin { mine, busy, complete };

  /// Throws std::runtime_error with a sentence when `directory` cannot be used.
  explicit Cache(const std::string& directory);

  /// The sealed content, or nothing: not there, or damaged (then it is removed). In use until release().
  Fd load(const BlobId& id, std::uint64_t size, const std::string& name);
  /// Starts to store a blob. busy: another worker on this host is fetching it. complete: load() it.
  Begin begin(const BlobId& id, Part& part);
  /// All bytes are in `part`: checks them, and gives the sealed content. Throws std::runtime_error
  /// with a sentence when the hash differs. In use until release().
  Fd admit(const BlobId& id, std::uint64_t size, const std::string& name, Part part);
  /// This worker uses it no longer: it may go when there is no room.
  void release(const BlobId& id);

  /// A new folder for this worker alone, removed by the destructor; those of dead workers are removed now.
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
