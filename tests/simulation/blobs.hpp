// SPDX-License-Identifier: MIT
// The bytes of blobs in a simulated world are computed from the id, so that no process stores them and every
// process can check any part of them.
#pragma once

#include <cstring>
#include <set>
#include <string>

#include "common/base/bytes.hpp"
#include "tests/simulation/random.hpp"
#include "weft/ids.hpp"

namespace weft::sim {

/// The id of the blob with this number in this world.
inline BlobId blob_called(std::uint64_t world, std::uint64_t name) {
  return Random(world ^ (name * 0x9e3779b97f4a7c15ULL)).id<32>();
}

/// Bytes `offset` .. `offset + size - 1` of blob `id`. REQUIRES: `offset` is a multiple of 8, as the offset
/// of every chunk is.
inline Bytes blob_part(const BlobId& id, std::uint64_t offset, std::uint64_t size) {
  std::uint64_t word;
  std::memcpy(&word, id.bytes.data(), sizeof word);
  std::string text((size + 7) / 8 * 8, '\0');
  for (std::uint64_t at = 0; at < text.size(); at += 8) {
    const std::uint64_t value = (word + offset + at) * 0xbf58476d1ce4e5b9ULL;
    std::memcpy(text.data() + at, &value, 8);
  }
  text.resize(size);
  return Bytes(text);
}

/// A blob of which some chunks may be missing.
class PartialBlob {
 public:
  /// Returns false if the bytes are wrong, or if the chunk at `offset` is already there.
  bool store(const BlobId& id, std::uint64_t offset, const Bytes& bytes) {
    if (!(blob_part(id, offset, bytes.size()) == bytes) || !offsets_.insert(offset).second) return false;
    stored_ += bytes.size();
    return true;
  }
  std::uint64_t stored() const { return stored_; }

 private:
  std::set<std::uint64_t> offsets_;
  std::uint64_t stored_ = 0;
};

}  // namespace weft::sim
