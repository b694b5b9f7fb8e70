// SPDX-License-Identifier: MIT
#include "common/system/hash.hpp"

#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "common/base/check.hpp"

namespace weft {

struct Hasher::State {
  crypto_generichash_state hash;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  WEFT_CHECK(crypto_generichash_init(&state_->hash, nullptr, 0, sizeof(BlobId::bytes)) == 0);
}

Hasher::~Hasher() = default;

void Hasher::add(std::string_view bytes) {
  crypto_generichash_update(&state_->hash, reinterpret_cast<const unsigned char*>(bytes.data()),
                            bytes.size());
}

BlobId Hasher::finish() {
  BlobId id;
  crypto_generichash_final(&state_->hash, id.bytes.data(), id.bytes.size());
  return id;
}

BlobId hash_of(std::string_view bytes) {
  Hasher hasher;
  hasher.add(bytes);
  return hasher.finish();
}

BlobId hash_of_file(int fd) {
  Hasher hasher;
  std::vector<char> buffer(1 << 20);
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "reading a file to hash it");
    if (got == 0) return hasher.finish();
    hasher.add({buffer.data(), static_cast<std::size_t>(got)});
    offset += got;
  }
}

Uuid random_uuid() {
  Uuid id;
  randombytes_buf(id.bytes.data(), id.bytes.size());
  return id;
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  randombytes_buf(&number, sizeof number);
  return number;
}

}  // namespace weft
