// SPDX-License-Identifier: MIT
#include "worker/store/blob_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
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

namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Fd make_memory(std::uint64_t size) {
  Fd memory =
      checked(memfd_create("weft-argument", MFD_CLOEXEC | MFD_ALLOW_SEALING), "no memory for an argument");
  if (ftruncate(memory.get(), static_cast<off_t>(size)) < 0) {
    throw std::system_error(errno, std::system_category(), "no memory for an argument");
  }
  return memory;
}

bool is_sealed(const Fd& memory) { return memory && (fcntl(memory.get(), F_GET_SEALS) & F_SEAL_WRITE) != 0; }

}  // namespace

// ---- stored blobs ----

void BlobStore::add(const BlobId& id, Origin origin, Fd memory) {
  remove(id);
  stored_.emplace(id, Stored{origin, std::move(memory), std::nullopt});
  ++counts_[static_cast<std::size_t>(origin)];
}

void BlobStore::remove(const BlobId& id) {
  const auto found = stored_.find(id);
  if (found == stored_.end()) return;
  const Stored& blob = found->second;
  if (blob.memory) --counts_[static_cast<std::size_t>(blob.origin)];
  if (blob.origin == Origin::cache) cache_.release(id);
  stored_.erase(found);
}

void BlobStore::drop(const BlobId& id) {
  coming_.erase(id);
  busy_.erase(id);
  remove(id);
}

// ---- finding and fetching ----

std::optional<Event> BlobStore::find(const FindBlob& action) try {
  const BlobId& id = action.id;
  coming_.erase(id);  // a task has made the blob that was being fetched
  const auto stored = stored_.find(id);
  if (stored != stored_.end() && is_sealed(stored->second.memory)) return BlobReady{id};
  Coming coming{action.size, action.name, {}, {}};
  if (stored == stored_.end() && !action.name.empty()) {
    if (Fd memory = cache_.load(id, action.size, action.name)) {
      add(id, Origin::cache, std::move(memory));
      return BlobReady{id};
    }
    if (cache_.begin(id, coming.part) != Cache::Begin::mine) {
      busy_[id] = action;
      return std::nullopt;
    }
  } else {
    if (count(Origin::fetched) + coming_.size() >= files_max_) {
      busy_[id] = action;
      return std::nullopt;
    }
    if (stored != stored_.end()) return seal_result(id, stored->second);
    coming.memory = make_memory(action.size);
  }
  coming_[id] = std::move(coming);
  return BlobMissing{id};
} catch (const std::exception& error) {
  return BlobBad{action.id, error.what()};
}

std::vector<Event> BlobStore::retry() {
  std::vector<Event> out;
  for (const auto& [id, action] : std::exchange(busy_, {})) {
    if (auto event = find(action)) out.push_back(std::move(*event));
  }
  return out;
}

std::optional<Event> BlobStore::store(const StoreChunk& action) {
  const auto found = coming_.find(action.id);
  if (found == coming_.end()) return std::nullopt;
  const int fd = found->second.memory ? found->second.memory.get() : found->second.part.fd();
  try {
    write_all_at(fd, action.bytes.view(), static_cast<off_t>(action.offset));
  } catch (const std::system_error& error) {
    coming_.erase(found);
    return BlobBad{action.id, "it cannot be stored: " + error.code().message()};
  }
  return std::nullopt;
}

Event BlobStore::verify(const BlobId& id) {
  const auto found = coming_.find(id);
  if (found == coming_.end()) return BlobBad{id, "it is not here"};
  Coming coming = std::move(found->second);
  coming_.erase(found);
  try {
    return verify(id, coming);
  } catch (const std::exception& error) {
    return BlobBad{id, error.what()};
  }
}

Event BlobStore::verify(const BlobId& id, Coming& coming) {
  if (coming.part) {
    add(id, Origin::cache, cache_.admit(id, coming.size, coming.name, std::move(coming.part)));
    return BlobReady{id};
  }
  fcntl(coming.memory.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE | F_SEAL_SEAL);
  if (hash_of_file(coming.memory.get()) != id) return BlobBad{id, "what came does not have its hash"};
  add(id, Origin::fetched, std::move(coming.memory));
  return BlobReady{id};
}

// ---- results ----

BlobId BlobStore::add_result(Fd memory) {
  // A runner may still have a writable mapping, which makes F_SEAL_WRITE fail: find() and receivers therefore
  // check the hash. Two calls, so that the size is sealed even then.
  fcntl(memory.get(), F_ADD_SEALS, kSizeSeals);
  fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
  const BlobId id = hash_of_file(memory.get());
  if (stored_.contains(id)) return id;
  struct stat status {};
  const bool keeps_size = (fcntl(memory.get(), F_GET_SEALS) & kSizeSeals) == kSizeSeals;
  if (count(Origin::made) >= files_max_ && keeps_size && fstat(memory.get(), &status) == 0) {
    stored_.emplace(id,
                    Stored{Origin::made, {}, Mapping(memory, static_cast<std::uint64_t>(status.st_size))});
  } else {
    add(id, Origin::made, std::move(memory));
  }
  return id;
}

/// Replaces a result that its runner may still change, or that has no descriptor, by a sealed copy.
Event BlobStore::seal_result(const BlobId& id, const Stored& result) {
  struct stat status {};
  if (result.memory && fstat(result.memory.get(), &status) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot read a result");
  }
  Coming copy;
  copy.size = result.mapping ? result.mapping->bytes().size() : static_cast<std::uint64_t>(status.st_size);
  copy.memory = make_memory(copy.size);
  constexpr std::uint64_t kPart = 1 << 20;
  for (std::uint64_t offset = 0; offset < copy.size; offset += kPart) {
    const auto bytes = static_cast<std::uint32_t>(std::min(kPart, copy.size - offset));
    write_all_at(copy.memory.get(), read(id, offset, bytes), static_cast<off_t>(offset));
  }
  return verify(id, copy);
}

std::string BlobStore::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  const auto found = stored_.find(id);
  if (found == stored_.end()) return "";
  if (const auto& mapping = found->second.mapping) {
    const std::string_view all = mapping->bytes();
    if (offset > all.size() || all.size() - offset < bytes) return "";
    return std::string(all.substr(offset, bytes));
  }
  std::string out(bytes, '\0');
  const ssize_t got = pread(found->second.memory.get(), out.data(), out.size(), static_cast<off_t>(offset));
  if (got != static_cast<ssize_t>(bytes)) return "";
  return out;
}

std::uint64_t BlobStore::bytes() const {
  constexpr std::uint64_t kBlockBytes = 512;
  std::uint64_t blocks = 0;
  std::uint64_t mapped = 0;
  const auto add = [&blocks](const Fd& memory) {
    struct stat status {};
    if (memory && fstat(memory.get(), &status) == 0) blocks += static_cast<std::uint64_t>(status.st_blocks);
  };
  for (const auto& [id, blob] : stored_) {
    add(blob.memory);
    if (blob.mapping) mapped += blob.mapping->bytes().size();
  }
  for (const auto& [id, coming] : coming_) add(coming.memory);
  return blocks * kBlockBytes + mapped;
}

}  // namespace weft::worker
