// SPDX-License-Identifier: MIT
#include "worker/blob_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include "common/hash.hpp"

namespace weft::worker {

std::optional<Event> BlobStore::find(const FindBlob& action) try {
  const BlobKey& key = action.key;
  if (ready_.count(key)) return BlobReady{key};
  Coming coming{action.size, action.name, {}, {}};
  if (key.place == BlobPlace::file) {
    if (Fd memory = cache_.load(key.id, action.size, action.name)) {
      ready_[key] = std::move(memory);
      return BlobReady{key};
    }
    if (cache_.begin(key.id, coming.part) != Cache::Begin::mine) {
      busy_[key] = action;
      return std::nullopt;
    }
  } else {
    coming.memory =
        checked(memfd_create("weft-argument", MFD_CLOEXEC | MFD_ALLOW_SEALING), "no memory for an argument");
    if (ftruncate(coming.memory.get(), static_cast<off_t>(action.size)) < 0) {
      throw std::system_error(errno, std::system_category(), "no memory for an argument");
    }
  }
  coming_[key] = std::move(coming);
  return BlobMissing{key};
} catch (const std::exception& error) {
  return BlobBad{action.key, error.what()};
}

std::vector<Event> BlobStore::retry() {
  std::vector<Event> out;
  for (const auto& [key, action] : std::exchange(busy_, {})) {
    if (auto event = find(action)) out.push_back(std::move(*event));
  }
  return out;
}

std::optional<Event> BlobStore::store(const StoreChunk& action) {
  const auto found = coming_.find(action.key);
  if (found == coming_.end()) return std::nullopt;
  const int fd = found->second.memory ? found->second.memory.get() : found->second.part.fd();
  try {
    write_all_at(fd, action.bytes.view(), static_cast<off_t>(action.offset));
  } catch (const std::system_error& error) {
    coming_.erase(found);
    return BlobBad{action.key, "it cannot be stored: " + error.code().message()};
  }
  return std::nullopt;
}

Event BlobStore::admit(const BlobKey& key) {
  const auto found = coming_.find(key);
  if (found == coming_.end()) return BlobBad{key, "it is not here"};
  Coming coming = std::move(found->second);
  coming_.erase(found);
  try {
    return admit(key, coming);
  } catch (const std::exception& error) {
    return BlobBad{key, error.what()};
  }
}

Event BlobStore::admit(const BlobKey& key, Coming& coming) {
  if (key.place == BlobPlace::file) {
    ready_[key] = cache_.admit(key.id, coming.size, coming.name, std::move(coming.part));
    return BlobReady{key};
  }
  fcntl(coming.memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  if (hash_of_file(coming.memory.get()) != key.id) return BlobBad{key, "what came does not have its hash"};
  ready_[key] = std::move(coming.memory);
  return BlobReady{key};
}

void BlobStore::abandon(const BlobKey& key) {
  coming_.erase(key);
  busy_.erase(key);
}

BlobId BlobStore::add_result(Fd memory) {
  // Should the runner have left it writable: whoever fetches it checks the hash, as with every blob.
  fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  const BlobId id = hash_of_file(memory.get());
  ready_.try_emplace({BlobPlace::result, id}, std::move(memory));
  return id;
}

std::string BlobStore::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  const auto found = ready_.find({BlobPlace::result, id});
  if (found == ready_.end()) return "";
  std::string out(bytes, '\0');
  const ssize_t got = pread(found->second.get(), out.data(), out.size(), static_cast<off_t>(offset));
  if (got != static_cast<ssize_t>(bytes)) return "";
  return out;
}

}  // namespace weft::worker
