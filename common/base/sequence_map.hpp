// SPDX-License-Identifier: MIT
// SequenceMap<T>: a map from consecutively assigned numbers to values that are erased in almost the same
// order (tasks, connections). Values are stored in chunks of neighbours: no node and no hash per value,
// ordered iteration, stable addresses, and a straggler retains only its chunk and block. Not thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "common/base/check.hpp"

namespace weft {

template <class T>
class SequenceMap {
 public:
  SequenceMap() = default;
  SequenceMap(const SequenceMap&) = delete;
  SequenceMap& operator=(const SequenceMap&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Constructs a value for `seq`. REQUIRES: `seq` has no value yet.
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
  const T* find(std::uint64_t seq) const { return const_cast<SequenceMap*>(this)->find(seq); }
  bool contains(std::uint64_t seq) const { return find(seq) != nullptr; }
  /// REQUIRES: `seq` has a value.
  T& at(std::uint64_t seq) {
    T* value = find(seq);
    WEFT_CHECK(value != nullptr);
    return *value;
  }
  const T& at(std::uint64_t seq) const { return const_cast<SequenceMap*>(this)->at(seq); }

  void erase(std::uint64_t seq) {
    Chunk* chunk = lookup(seq / kChunk);
    if (chunk == nullptr || !chunk->has(seq % kChunk)) return;
    chunk->destroy(seq % kChunk);
    --size_;
    if (chunk->present != 0) return;
    const std::uint64_t index = seq / kChunk;
    recent_[index % kRecent] = {};
    const auto it = blocks_.find(index / kBlock);
    spare_ = std::move(it->second.chunks[index % kBlock]);  // reused for the next chunk
    it->second.present &= ~bit(index % kBlock);
    if (it->second.present == 0) blocks_.erase(it);
  }

  /// The first number at or after `seq` that has a value, with that value; {0, null} if none has.
  std::pair<std::uint64_t, T*> first_from(std::uint64_t seq) {
    std::uint64_t index = seq / kChunk;
    if (Chunk* chunk = lookup(index)) {
      if (const std::uint64_t rest = from(chunk->present, seq % kChunk); rest != 0)
        return first_of(index, *chunk, rest);
    }
    ++index;
    for (auto it = blocks_.lower_bound(index / kBlock); it != blocks_.end(); ++it) {
      const bool begins_within = it->first == index / kBlock;
      const std::uint64_t rest = from(it->second.present, begins_within ? index % kBlock : 0);
      if (rest == 0) continue;
      const auto at = static_cast<std::uint64_t>(std::countr_zero(rest));
      Chunk& chunk = *it->second.chunks[at];
      return first_of(it->first * kBlock + at, chunk, chunk.present);
    }
    return {0, nullptr};
  }

  /// Calls f(seq, value) in ascending order. f must not insert or erase.
  template <class F>
  void for_each(F f) {
    for (auto& [number, block] : blocks_) {
      for (std::uint64_t chunks = block.present; chunks != 0; chunks &= chunks - 1) {
        const auto at = static_cast<std::uint64_t>(std::countr_zero(chunks));
        Chunk& chunk = *block.chunks[at];
        for (std::uint64_t rest = chunk.present; rest != 0; rest &= rest - 1) {
          const auto [seq, value] = first_of(number * kBlock + at, chunk, rest);
          f(seq, *value);
        }
      }
    }
  }
  template <class F>
  void for_each(F f) const {
    const_cast<SequenceMap*>(this)->for_each(
        [&](std::uint64_t seq, T& value) { f(seq, static_cast<const T&>(value)); });
  }

  void clear() {
    blocks_.clear();
    recent_ = {};
    size_ = 0;
  }

 private:
  static constexpr std::uint64_t kChunk = 64;  // values
  static constexpr std::uint64_t kBlock = 64;  // chunks
  static constexpr std::uint64_t kRecent = 8;
  static constexpr std::uint64_t bit(std::uint64_t at) { return std::uint64_t{1} << at; }
  static constexpr std::uint64_t from(std::uint64_t bits, std::uint64_t at) { return bits >> at << at; }

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
  /// Groups chunks, so that for 100,000 tasks that end in any order the map has about 25 nodes instead of
  /// 1,600.
  struct Block {
    std::uint64_t present = 0;
    std::array<std::unique_ptr<Chunk>, kBlock> chunks;  // where `present` has a bit
  };
  struct Recent {
    std::uint64_t index = 0;
    Chunk* chunk = nullptr;
  };

  Chunk* lookup(std::uint64_t index) {
    Recent& recent = recent_[index % kRecent];
    if (recent.chunk != nullptr && recent.index == index) return recent.chunk;
    const auto it = blocks_.find(index / kBlock);
    Chunk* const chunk = it != blocks_.end() ? it->second.chunks[index % kBlock].get() : nullptr;
    if (chunk != nullptr) recent = {index, chunk};
    return chunk;
  }
  Chunk& chunk_for(std::uint64_t index) {
    if (Chunk* chunk = lookup(index)) return *chunk;
    Block& block = blocks_.try_emplace(blocks_.end(), index / kBlock)->second;
    auto& slot = block.chunks[index % kBlock];
    slot = spare_ ? std::move(spare_) : std::unique_ptr<Chunk>(new Chunk);
    block.present |= bit(index % kBlock);
    recent_[index % kRecent] = {index, slot.get()};
    return *slot;
  }
  static std::pair<std::uint64_t, T*> first_of(std::uint64_t index, Chunk& chunk, std::uint64_t bits) {
    const auto at = static_cast<std::uint64_t>(std::countr_zero(bits));
    return {index * kChunk + at, chunk.place(at)};
  }

  std::map<std::uint64_t, Block> blocks_;
  std::unique_ptr<Chunk> spare_;
  std::array<Recent, kRecent> recent_;  // recently looked-up chunks, since neighbours are looked up together
  std::size_t size_ = 0;
};

}  // namespace weft
