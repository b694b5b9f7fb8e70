// SPDX-License-Identifier: MIT
// Content hashes and random ids (libsodium).
#pragma once

#include <memory>
#include <string_view>

#include "weft/ids.hpp"

namespace weft {

/// Incremental BLAKE2b-256.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void add(std::string_view bytes);
  /// May be called once.
  BlobId finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

BlobId hash_of(std::string_view bytes);
/// Hashes the whole file behind `fd`, without moving its offset. Throws std::system_error.
BlobId hash_of_file(int fd);

/// From the kernel's random generator.
Uuid random_uuid();
std::uint64_t random_number();

}  // namespace weft
