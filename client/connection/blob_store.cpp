// SPDX-License-Identifier: MIT
#include "client/connection/blob_store.hpp"

#include <algorithm>

namespace weft::client {

BlobId ArgumentStore::add(std::string_view bytes) {
  const BlobId id = hash_of(bytes);
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[id];
  if (!entry.text) entry.text = std::make_shared<const std::string>(bytes);
  ++entry.tasks;
  return id;
}

void ArgumentStore::retain(const BlobId& id) {
  const std::lock_guard lock(mutex_);
  ++entries_.at(id).tasks;
}

void ArgumentStore::release(const BlobId& id) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(id);
  if (it != entries_.end() && --it->second.tasks == 0) entries_.erase(it);
}

std::optional<Bytes> ArgumentStore::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  std::shared_ptr<const std::string> text;
  {
    const std::lock_guard lock(mutex_);
    const auto it = entries_.find(id);
    if (it == entries_.end()) return std::nullopt;
    text = it->second.text;
  }
  if (offset >= text->size()) return std::nullopt;
  return Bytes(std::string_view(*text).substr(offset, std::min<std::size_t>(bytes, wire::kChunkBytes)));
}

std::size_t ArgumentStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void ResultStore::store(const StoreChunk& chunk) {
  Entry& entry = entries_[chunk.id];
  if (entry.no_room) return;
  if (!entry.hasher) {
    entry.hasher = std::make_unique<Hasher>();
    try {
      entry.text.resize(chunk.size);
    } catch (const std::exception&) {  // bad_alloc or length_error: reported by verify()
      entry.no_room = true;
      return;
    }
  }
  if (chunk.offset + chunk.bytes.size() > entry.text.size()) return;
  std::copy_n(chunk.bytes.view().data(), chunk.bytes.size(),
              entry.text.begin() + static_cast<std::ptrdiff_t>(chunk.offset));
  entry.early.insert(chunk.offset);
  while (!entry.early.empty() && *entry.early.begin() == entry.hashed) {
    const std::size_t bytes = std::min<std::size_t>(wire::kChunkBytes, entry.text.size() - entry.hashed);
    entry.hasher->add(std::string_view(entry.text).substr(entry.hashed, bytes));
    entry.hashed += bytes;
    entry.early.erase(entry.early.begin());
  }
}

Event ResultStore::verify(const BlobId& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return BlobBad{id, "it arrived damaged"};
  Entry& entry = it->second;
  const bool whole = !entry.no_room && entry.hashed == entry.text.size() && entry.hasher->finish() == id;
  if (whole) return BlobReady{id};
  const bool no_room = entry.no_room;
  drop(id);
  return BlobBad{id, no_room ? "there is no memory for it" : "it arrived damaged", no_room};
}

std::string ResultStore::take(const BlobId& id, bool move) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return {};
  if (!move) return it->second.text;
  std::string text = std::move(it->second.text);
  entries_.erase(it);
  return text;
}

}  // namespace weft::client
