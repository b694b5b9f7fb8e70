// SPDX-License-Identifier: MIT
// SeqTable<T>: values by task number, for numbers that are handed out one after the other and end in
// almost the same order. Chunks of neighbours: no node and no hash for each value, ordered
// iteration, and a straggler holds one chunk, not everything behind it. Not thread-safe.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "common/check.hpp"

namespace weft::client {

template <class T>
class SeqTable {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// The new value for `seq`. REQUIRES: there is none yet.
  T& insert(std::uint64_t seq, T value) {
    Chunk& chunk = chunk_for(seq);
    WEFT_CHECK(!chunk.present[seq % kChunk]);
    chunk.present[seq % kChunk] = true;
    ++chunk.count;
    ++size_;
    return chunk.values[seq % kChunk] = std::move(value);
  }

  /// The value for `seq`, or null.
  T* find(std::uint64_t seq) {
    Chunk* chunk = lookup(seq / kChunk);
    return chunk != nullptr && chunk->present[seq % kChunk] ? &chunk->values[seq % kChunk] : nullptr;
  }
  const T* find(std::uint64_t seq) const { return const_cast<SeqTable*>(this)->find(seq); }

  void erase(std::uint64_t seq) {
    Chunk* chunk = lookup(seq / kChunk);
    if (chunk == nullptr || !chunk->present[seq % kChunk]) return;
    chunk->present[seq % kChunk] = false;
    chunk->values[seq % kChunk] = T{};
    --size_;
    if (--chunk->count == 0) {
      chunks_.erase(seq / kChunk);
      last_ = nullptr;
    }
  }

  /// The first number at or after `seq` that has a value, with that value; {0, null}: there is none.
  std::pair<std::uint64_t, T*> first_from(std::uint64_t seq) {
    for (auto it = chunks_.lower_bound(seq / kChunk); it != chunks_.end(); ++it) {
      const std::uint64_t begin = it->first * kChunk;
      for (std::uint64_t i = seq > begin ? seq - begin : 0; i < kChunk; ++i) {
        if (it->second->present[i]) return {begin + i, &it->second->values[i]};
      }
    }
    return {0, nullptr};
  }

  /// Calls f(seq, value) in the order of numbers. f must not insert or erase.
  template <class F>
  void for_each(F f) {
    for (auto& [index, chunk] : chunks_) {
      for (std::uint64_t i = 0; i < kChunk; ++i) {
        if (chunk->present[i]) f(index * kChunk + i, chunk->values[i]);
      }
    }
  }
  template <class F>
  void for_each(F f) const {
    const_cast<SeqTable*>(this)->for_each([&](std::uint64_t seq, const T& value) { f(seq, value); });
  }

  void clear() {
    chunks_.clear();
    last_ = nullptr;
    size_ = 0;
  }

 private:
  static constexpr std::uint64_t kChunk = 256;
  struct Chunk {
    std::bitset<kChunk> present;
    std::uint32_t count = 0;
    std::array<T, kChunk> values{};
  };

  Chunk* lookup(std::uint64_t index) {
    if (last_ != nullptr && last_index_ == index) return last_;
    const auto it = chunks_.find(index);
    if (it == chunks_.end()) return nullptr;
    last_index_ = index;
    return last_ = it->second.get();
  }
  Chunk& chunk_for(std::uint64_t seq) {
    if (Chunk* chunk = lookup(seq / kChunk)) return *chunk;
    auto& slot = chunks_[seq / kChunk];
    slot = std::make_unique<Chunk>();
    last_index_ = seq / kChunk;
    return *(last_ = slot.get());
  }

  std::map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  Chunk* last_ = nullptr;  // that was looked up last: neighbours are asked for together
  std::uint64_t last_index_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::client
