// SPDX-License-Identifier: MIT
// The bytes of blobs in a simulated world are a function of the blob's id: no process has to store them, and
// each can check any chunk.
#pragma once

#include <cstring>
#include <set>
#include <string>

#include "common/base/bytes.hpp"
#include "tests/simulation/random.hpp"
#include "weft/ids.hpp"

namespace weft::sim {

/// The id of blob number `name` in the world with seed `world`.
inline BlobId blob_called(std::uint64_t world, std::uint64_t name) {
  return Random(world ^ (name * 0x9e3779b97f4a7c15ULL)).id<32>();
}

/// `size` bytes of the blob, from `offset`. REQUIRES: `offset` is a multiple of 8, as that of every chunk is.
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

/// A blob of which some chunks have arrived.
class PartialBlob {
 public:
  /// False: the bytes are wrong for this offset, or the chunk has come before.
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
