// SPDX-License-Identifier: MIT
// SeqTable<T>: values by number, of tasks or of connections: numbers that are handed out one after the other
// and end in almost the same order. Chunks of neighbours: no node and no hash for each value, ordered
// iteration, values that stay where they are, and a straggler holds one chunk, not everything behind it. Not
// thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "common/check.hpp"

namespace weft {

template <class T>
class SeqTable {
 public:
  SeqTable() = default;
  SeqTable(const SeqTable&) = delete;
  SeqTable& operator=(const SeqTable&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// A new value for `seq`, made from `arguments`. REQUIRES: there is none yet.
  template <class... A>
  T& emplace(std::uint64_t seq, A&&... arguments) {
    Chunk& chunk = chunk_for(seq / kChunk);
    WEFT_CHECK(!chunk.has(seq % kChunk));
    T* value = new (chunk.place(seq % kChunk)) T{std::forward<A>(arguments)...};
    chunk.present |= bit(seq % kChunk);
    ++size_;
    return *value;
  }

  /// The value for `seq`, or null.
  T* find(std::uint64_t seq) {
    Chunk* chunk = lookup(seq / kChunk);
    return chunk != nullptr && chunk->has(seq % kChunk) ? chunk->place(seq % kChunk) : nullptr;
  }
  const T* find(std::uint64_t seq) const { return const_cast<SeqTable*>(this)->find(seq); }
  bool contains(std::uint64_t seq) const { return find(seq) != nullptr; }
  /// REQUIRES: there is one.
  T& at(std::uint64_t seq) {
    T* value = find(seq);
    WEFT_CHECK(value != nullptr);
    return *value;
  }
  const T& at(std::uint64_t seq) const { return const_cast<SeqTable*>(this)->at(seq); }

  void erase(std::uint64_t seq) {
    Chunk* chunk = lookup(seq / kChunk);
    if (chunk == nullptr || !chunk->has(seq % kChunk)) return;
    chunk->destroy(seq % kChunk);
    --size_;
    if (chunk->present != 0) return;
    recent_[seq / kChunk % kRecent] = {};
    const auto it = chunks_.find(seq / kChunk);
    spare_ = std::move(it->second);  // the next one begins soon
    chunks_.erase(it);
  }

  /// The first number at or after `seq` that has a value, with that value; {0, null}: there is none.
  std::pair<std::uint64_t, T*> first_from(std::uint64_t seq) {
    if (Chunk* chunk = lookup(seq / kChunk)) {
      if (const std::uint64_t rest = chunk->present >> (seq % kChunk); rest != 0) {
        const std::uint64_t at = seq + static_cast<std::uint64_t>(std::countr_zero(rest));
        return {at, chunk->place(at % kChunk)};
      }
    }
    const auto it = chunks_.upper_bound(seq / kChunk);
    if (it == chunks_.end()) return {0, nullptr};
    const auto at = static_cast<std::uint64_t>(std::countr_zero(it->second->present));
    return {it->first * kChunk + at, it->second->place(at)};
  }

  /// Calls f(seq, value) in the order of numbers. f must not insert or erase.
  template <class F>
  void for_each(F f) {
    for (auto& [index, chunk] : chunks_) {
      for (std::uint64_t rest = chunk->present; rest != 0; rest &= rest - 1) {
        const auto at = static_cast<std::uint64_t>(std::countr_zero(rest));
        f(index * kChunk + at, *chunk->place(at));
      }
    }
  }
  template <class F>
  void for_each(F f) const {
    const_cast<SeqTable*>(this)->for_each(
        [&](std::uint64_t seq, T& value) { f(seq, static_cast<const T&>(value)); });
  }

  void clear() {
    chunks_.clear();
    recent_ = {};
    size_ = 0;
  }

 private:
  static constexpr std::uint64_t kChunk = 64;
  static constexpr std::uint64_t kRecent = 8;
  static constexpr std::uint64_t bit(std::uint64_t at) { return std::uint64_t{1} << at; }

  struct Chunk {
    Chunk() = default;
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;
    ~Chunk() {
      while (present != 0) destroy(static_cast<std::uint64_t>(std::countr_zero(present)));
    }
    bool has(std::uint64_t at) const { return (present & bit(at)) != 0; }
    T* place(std::uint64_t at) { return reinterpret_cast<T*>(memory) + at; }
    void destroy(std::uint64_t at) {
      present &= ~bit(at);
      place(at)->~T();
    }

    std::uint64_t present = 0;
    alignas(T) std::byte memory[kChunk * sizeof(T)];  // values where `present` has a bit
  };
  struct Recent {
    std::uint64_t index = 0;
    Chunk* chunk = nullptr;
  };

  Chunk* lookup(std::uint64_t index) {
    Recent& recent = recent_[index % kRecent];
    if (recent.chunk != nullptr && recent.index == index) return recent.chunk;
    const auto it = chunks_.find(index);
    if (it == chunks_.end()) return nullptr;
    recent = {index, it->second.get()};
    return recent.chunk;
  }
  Chunk& chunk_for(std::uint64_t index) {
    if (Chunk* chunk = lookup(index)) return *chunk;
    auto& slot = chunks_.emplace_hint(chunks_.end(), index, nullptr)->second;
    slot = spare_ ? std::move(spare_) : std::unique_ptr<Chunk>(new Chunk);
    recent_[index % kRecent] = {index, slot.get()};
    return *slot;
  }

  std::map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  std::unique_ptr<Chunk> spare_;
  std::array<Recent, kRecent> recent_;  // that were looked up last: neighbours are asked for together
  std::size_t size_ = 0;
};

}  // namespace weft
