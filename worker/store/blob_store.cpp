// SPDX-License-Identifier: MIT
#include "worker/store/blob_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "common/system/hash.hpp"

namespace weft::worker {

BlobStore::Mapping::Mapping(const Fd& memory, std::uint64_t size)
    : memory_(mmap(nullptr, size, PROT_READ, MAP_SHARED, memory.get(), 0)), size_(size) {
  if (memory_ == MAP_FAILED) throw std::system_error(errno, std::system_category(), "cannot map a result");
}

BlobStore::Mapping::Mapping(Mapping&& other) noexcept
    : memory_(std::exchange(other.memory_, MAP_FAILED)), size_(other.size_) {}

BlobStore::Mapping::~Mapping() {
  if (memory_ != MAP_FAILED) munmap(memory_, size_);
}

void BlobStore::add_ready(const BlobKey& key, Fd memory) {
  if (ready_.insert_or_assign(key, std::move(memory)).second) ++counts_[static_cast<std::size_t>(key.place)];
}

void BlobStore::release(const BlobKey& key) {
  if (key.place == BlobPlace::result && mapped_.erase(key.id) > 0) return;
  if (ready_.erase(key) == 0) return;
  --counts_[static_cast<std::size_t>(key.place)];
  if (key.place == BlobPlace::file) cache_.release(key.id);
}

std::optional<Event> BlobStore::find(const FindBlob& action) try {
  const BlobKey& key = action.key;
  if (ready_.count(key)) return BlobReady{key};
  Coming coming{action.size, action.name, {}, {}};
  if (key.place == BlobPlace::file) {
    if (Fd memory = cache_.load(key.id, action.size, action.name)) {
      add_ready(key, std::move(memory));
      return BlobReady{key};
    }
    if (cache_.begin(key.id, coming.part) != Cache::Begin::mine) {
      busy_[key] = action;
      return std::nullopt;
    }
  } else {
    if (count(BlobPlace::argument) + coming_.size() >= files_max_) {
      busy_[key] = action;
      return std::nullopt;
    }
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
    add_ready(key, cache_.admit(key.id, coming.size, coming.name, std::move(coming.part)));
    return BlobReady{key};
  }
  fcntl(coming.memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  if (hash_of_file(coming.memory.get()) != key.id) return BlobBad{key, "what came does not have its hash"};
  add_ready(key, std::move(coming.memory));
  return BlobReady{key};
}

void BlobStore::abandon(const BlobKey& key) {
  coming_.erase(key);
  busy_.erase(key);
}

BlobId BlobStore::add_result(Fd memory) {
  // Should the runner have left it writable: whoever fetches it checks the hash, as with every blob.
  constexpr int kSize = F_SEAL_SHRINK | F_SEAL_GROW;
  fcntl(memory.get(), F_ADD_SEALS, kSize);  // alone: writable memory that is still mapped refuses the others
  fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
  const BlobId id = hash_of_file(memory.get());
  const BlobKey key{BlobPlace::result, id};
  if (ready_.contains(key) || mapped_.contains(id)) return id;
  struct stat status {};
  const bool keeps_size = (fcntl(memory.get(), F_GET_SEALS) & kSize) == kSize;
  if (count(BlobPlace::result) >= files_max_ && keeps_size && fstat(memory.get(), &status) == 0) {
    mapped_.emplace(id, Mapping(memory, static_cast<std::uint64_t>(status.st_size)));
  } else {
    add_ready(key, std::move(memory));
  }
  return id;
}

std::uint64_t BlobStore::bytes() const {
  constexpr std::uint64_t kBlockBytes = 512;
  std::uint64_t blocks = 0;
  const auto add = [&blocks](const Fd& memory) {
    struct stat status {};
    if (memory && fstat(memory.get(), &status) == 0) blocks += static_cast<std::uint64_t>(status.st_blocks);
  };
  for (const auto& [key, memory] : ready_) add(memory);
  for (const auto& [key, coming] : coming_) add(coming.memory);
  std::uint64_t mapped = 0;
  for (const auto& [id, mapping] : mapped_) mapped += mapping.bytes().size();
  return blocks * kBlockBytes + mapped;
}

std::string BlobStore::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  if (const auto mapped = mapped_.find(id); mapped != mapped_.end()) {
    const std::string_view all = mapped->second.bytes();
    if (offset > all.size() || all.size() - offset < bytes) return "";
    return std::string(all.substr(offset, bytes));
  }
  const auto found = ready_.find({BlobPlace::result, id});
  if (found == ready_.end()) return "";
  std::string out(bytes, '\0');
  const ssize_t got = pread(found->second.get(), out.data(), out.size(), static_cast<off_t>(offset));
  if (got != static_cast<ssize_t>(bytes)) return "";
  return out;
}

}  // namespace weft::worker
