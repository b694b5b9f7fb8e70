// SPDX-License-Identifier: MIT
// BlobDirectory: programs and large arguments on disk, each named by the hash of its content, so that what a
// journaled task needs is durable like the task.
//
//   DIR/<hash>        complete and durable
//   DIR/<hash>.part   on its way; removed by the next opening
//
// One thread calls save(), seal() and forget(); any thread may call read(), has() and list() at the same
// time.
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
  /// Opens `directory`, or makes it accessible to this user only, and removes unfinished blobs. Throws
  /// std::runtime_error with a sentence.
  explicit BlobDirectory(const std::string& directory);

  /// Writes a chunk, from byte `offset` on, of a blob of `size` bytes; chunks may come in any order. Throws
  /// std::runtime_error with the reason, and has then removed all of the unfinished blob.
  void save(const BlobId& id, std::uint64_t size, std::uint64_t offset, std::string_view bytes);
  /// Call once all chunks were saved: checks size and hash, and the blob is durable on return. Does nothing
  /// to a blob that is durable already. Throws std::runtime_error with the reason, and has then removed the
  /// blob.
  void seal(const BlobId& id);
  /// Removes a blob, complete or not. A file that cannot be removed stays, and stays in list().
  void forget(const BlobId& id);

  /// Whether the blob is complete and durable.
  bool has(const BlobId& id) const;
  /// `bytes` bytes of a complete blob, from byte `offset` on. Throws std::runtime_error when the blob or some
  /// of these bytes are missing.
  Bytes read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;
  /// The complete blobs, with their sizes in bytes.
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
