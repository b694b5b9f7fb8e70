// SPDX-License-Identifier: MIT
// BlobDirectory: programs, large arguments and large results on disk, each named by the hash of its content,
// so that the blobs of a journaled task are as durable as the task.
//
//   DIR/<hash>        complete and durable
//   DIR/<hash>.part   incomplete; removed when the directory is opened again
//
// One thread calls save(), seal() and forget(); any other thread may call read(), has() and list() at the
// same time.
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
  /// Opens `directory`, or creates it with access for this user only. Throws std::runtime_error with a
  /// sentence for people.
  explicit BlobDirectory(const std::string& directory);

  /// Writes one chunk of a blob of `size` bytes; chunks come in any order. Throws std::runtime_error with the
  /// reason, and then drops all chunks of the blob.
  void save(const BlobId& id, std::uint64_t size, std::uint64_t offset, std::string_view bytes);
  /// All chunks were saved: verifies the hash and makes the blob durable. Does nothing if the blob is durable
  /// already. Throws std::runtime_error with the reason, and then drops all chunks of the blob.
  void seal(const BlobId& id);
  /// Removes a blob, complete or not. A file that cannot be removed is in list() after the next start.
  void forget(const BlobId& id);

  /// Whether the blob is complete and durable.
  bool has(const BlobId& id) const;
  /// Throws std::runtime_error when the directory does not have these `bytes` bytes at `offset`.
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
