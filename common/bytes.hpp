// SPDX-License-Identifier: MIT
// Bytes: an immutable string of bytes. What is short sits in the object itself; anything longer is shared
// by all copies, so that a payload can sit in a queue, in an action and in a retransmission list without
// being copied. Copies may be made and dropped from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "common/check.hpp"

namespace weft {

class Bytes {
 public:
  static constexpr std::size_t kInPlaceMax = 22;

  Bytes() = default;
  explicit Bytes(std::string_view text) {
    if (text.size() <= kInPlaceMax) {
      copy_in_place(text);
      size_ = static_cast<std::uint8_t>(text.size());
    } else {
      set_block(make(text));
    }
  }
  Bytes(const Bytes& other) {
    std::memcpy(static_cast<void*>(this), &other, sizeof *this);
    if (size_ == kShared) block()->owners.fetch_add(1, std::memory_order_relaxed);
  }
  Bytes(Bytes&& other) noexcept {
    std::memcpy(static_cast<void*>(this), &other, sizeof *this);
    other.size_ = 0;
  }
  Bytes& operator=(const Bytes& other) { return *this = Bytes(other); }
  Bytes& operator=(Bytes&& other) noexcept {
    if (this == &other) return *this;
    if (size_ == kShared) release();
    std::memcpy(static_cast<void*>(this), &other, sizeof *this);
    other.size_ = 0;
    return *this;
  }
  ~Bytes() {
    if (size_ == kShared) release();
  }

  std::string_view view() const {
    return size_ == kShared ? std::string_view(block()->text(), block()->size)
                            : std::string_view(place_, size_);
  }
  std::size_t size() const { return size_ == kShared ? block()->size : size_; }
  bool empty() const { return size_ == 0; }

  static constexpr std::size_t kSpare = kInPlaceMax;
  /// Copies them and returns where they end. Up to kSpare bytes behind that may be written as well.
  char* copy_to(char* to) const {
    if (size_ != kShared) {
      std::memcpy(to, place_, kInPlaceMax);
      return to + size_;
    }
    std::memcpy(to, block()->text(), block()->size);
    return to + block()->size;
  }

  /// One bit that whoever has it may use, copied along with it.
  bool marked() const { return mark_; }
  void mark(bool marked) { mark_ = marked; }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view() == b.view(); }

 private:
  static constexpr std::uint8_t kShared = 255;  // in size_: place_ begins with a pointer

  struct Block {
    std::atomic<std::uint32_t> owners{1};
    std::uint32_t size;
    const char* text() const { return reinterpret_cast<const char*>(this) + sizeof(Block); }
  };

  static Block* make(std::string_view text) {
    WEFT_CHECK(text.size() <= UINT32_MAX);
    void* memory = ::operator new(sizeof(Block) + text.size());
    auto* block = new (memory) Block{.size = static_cast<std::uint32_t>(text.size())};
    std::memcpy(static_cast<char*>(memory) + sizeof(Block), text.data(), text.size());
    return block;
  }
  Block* block() const {
    Block* block = nullptr;
    std::memcpy(&block, place_, sizeof block);
    return block;
  }
  void set_block(Block* block) {
    std::memcpy(place_, &block, sizeof block);
    size_ = kShared;
  }
  void release() {
    Block* const block = this->block();
    if (block->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    block->~Block();
    ::operator delete(block);
  }
  /// As memcpy, which would be called here, since it is not known how much it is to copy: two pieces of equal
  /// size that may overlap.
  void copy_in_place(std::string_view text) {
    const std::size_t size = text.size();
    const auto copy_ends = [&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      std::memcpy(place_ + size - N, text.data() + size - N, N);
      std::memcpy(place_, text.data(), N);
    };
    if (size >= 16) return copy_ends(std::integral_constant<std::size_t, 16>());
    if (size >= 8) return copy_ends(std::integral_constant<std::size_t, 8>());
    if (size >= 4) return copy_ends(std::integral_constant<std::size_t, 4>());
    for (std::size_t i = 0; i < size; ++i) place_[i] = text[i];
  }

  alignas(8) char place_[kInPlaceMax] = {};
  bool mark_ = false;
  std::uint8_t size_ = 0;
};
static_assert(sizeof(Bytes) == 24);

}  // namespace weft
