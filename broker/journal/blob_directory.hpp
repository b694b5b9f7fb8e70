// SPDX-License-Identifier: MIT
// BlobDirectory: programs and large arguments on disk, each named by the hash of its content, so that what a
// journaled task needs is durable like the task.
//
//   DIR/<hash>        complete and durable
//   DIR/<hash>.part   on its way; removed by the next opening
//
// One thread calls save(), seal() and forget(); read(), has() and list() may be called from any other beside
// it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/system/fd.hpp"
#include "weft/ids.hpp"

namespace weft::broker {

class BlobDirectory {
 public:
  /// Opens `directory`, or makes it for nobody else to enter. Throws std::runtime_error with a sentence.
  explicit BlobDirectory(const std::string& directory);

  /// Part of a blob of `size` bytes, in any order. Throws std::runtime_error with the reason; then nothing of
  /// the blob is kept.
  void save(const BlobId& id, std::uint64_t size, std::uint64_t offset, std::string_view bytes);
  /// All of it was saved: checks that, and it is durable on return. Of one that is durable already, nothing
  /// happens. Throws std::runtime_error with the reason; then nothing of the blob is kept.
  void seal(const BlobId& id);
  /// Removes it, whole or in part. What the disk does not let go is in list() again.
  void forget(const BlobId& id);

  bool has(const BlobId& id) const;
  /// Throws std::runtime_error when they are not there.
  Bytes read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;
  /// What is complete, with its size.
  std::map<BlobId, std::uint64_t> list() const;

 private:
  struct Part {
    Fd file;
    std::uint64_t size = 0;
  };

  std::string path_of(const BlobId& id) const { return directory_ + "/" + id.text(); }
  void drop_part(const BlobId& id);

  std::string directory_;
  std::map<BlobId, Part> parts_;
};

}  // namespace weft::broker
