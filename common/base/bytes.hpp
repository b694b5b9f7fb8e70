// SPDX-License-Identifier: MIT
// Bytes: an immutable string of bytes. Up to 22 bytes are stored in the object itself; longer content is
// reference-counted and shared by all copies, so that a payload can be in a queue, in an action and in a
// retransmission list at once (zero-copy). Copies may be made and destroyed in any thread.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "common/base/check.hpp"

namespace weft {

class Bytes {
 public:
  static constexpr std::size_t kInPlaceMax = 22;

  Bytes() = default;
  explicit Bytes(std::string_view text) {
    if (text.size() <= kInPlaceMax) {
      set_in_place(text.data(), text.size());
    } else {
      set_block(make(text));
    }
  }
  Bytes(const Bytes& other) : head_(other.head_), tail_(other.tail_) {
    if (is_shared()) block()->owners.fetch_add(1, std::memory_order_relaxed);
  }
  Bytes(Bytes&& other) noexcept : head_(other.head_), tail_(std::exchange(other.tail_, 0)) {}
  Bytes& operator=(const Bytes& other) { return *this = Bytes(other); }
  Bytes& operator=(Bytes&& other) noexcept {
    if (this == &other) return *this;
    if (is_shared()) release();
    head_ = other.head_;
    tail_ = std::exchange(other.tail_, 0);
    return *this;
  }
  ~Bytes() {
    if (is_shared()) release();
  }

  std::string_view view() const {
    return is_shared() ? std::string_view(block()->text(), block()->size)
                       : std::string_view(reinterpret_cast<const char*>(this), size_in_place());
  }
  std::size_t size() const { return is_shared() ? block()->size : size_in_place(); }
  bool empty() const { return size_in_place() == 0; }

  static constexpr std::size_t kSpare = 24;
  /// Copies the bytes to `to` and returns their end. Up to kSpare bytes past the end may be overwritten.
  char* copy_to(char* to) const {
    if (!is_shared()) {
      std::memcpy(to, static_cast<const void*>(this), sizeof *this);
      return to + size_in_place();
    }
    std::memcpy(to, block()->text(), block()->size);
    return to + block()->size;
  }

  /// Two bits that are copied along with the bytes, for the owner's use (see Payload).
  unsigned marks() const { return static_cast<unsigned>(tail_ >> kMarksShift) & kMarksMask; }
  /// REQUIRES: marks <= 3.
  void set_marks(unsigned marks) {
    tail_ = (tail_ & ~(kMarksMask << kMarksShift)) | std::uint64_t{marks} << kMarksShift;
  }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view() == b.view(); }

 private:
  // Written as one 16-byte and one 8-byte store, so that the copy that follows does not fail store-to-load
  // forwarding.
  using Vector [[gnu::vector_size(16)]] = std::uint64_t;
  using Head [[gnu::aligned(8)]] = Vector;  // two steps, since Clang rejects both attributes at once
  static_assert(std::endian::native == std::endian::little, "text begins in the low byte of head_");

  // The layout of tail_, above six bytes of content:
  static constexpr int kMarksShift = 48;
  static constexpr std::uint64_t kMarksMask = 3;
  static constexpr int kSizeShift = 56;
  static constexpr std::uint64_t kShared = 255;  // this size means that head_ begins with a pointer

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
  std::size_t size_in_place() const { return tail_ >> kSizeShift; }
  bool is_shared() const { return size_in_place() == kShared; }
  Block* block() const { return reinterpret_cast<Block*>(head_[0]); }
  void set_block(Block* block) {
    head_ = Head{reinterpret_cast<std::uintptr_t>(block), 0};
    tail_ = kShared << kSizeShift;
  }
  void release() {
    Block* const block = this->block();
    if (block->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    block->~Block();
    ::operator delete(block);
  }

  template <class T>
  static std::uint64_t load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  /// The last `size` bytes before `end`. REQUIRES: at least 8 bytes before `end` are readable; `size` is at
  /// most 7.
  static std::uint64_t load_last(const char* end, std::size_t size) {
    return load<std::uint64_t>(end - 8) >> 8 >> (56 - 8 * size);
  }
  void set_in_place(const char* text, std::size_t size) {
    tail_ = std::uint64_t{size} << kSizeShift;
    if (size >= 16) {
      head_ = Head{load<std::uint64_t>(text), load<std::uint64_t>(text + 8)};
      tail_ |= load_last(text + size, size - 16);
    } else if (size >= 8) {
      head_ = Head{load<std::uint64_t>(text), load_last(text + size, size - 8)};
    } else if (size >= 4) {
      head_ = Head{load<std::uint32_t>(text) | load<std::uint32_t>(text + size - 4) << (8 * (size - 4)), 0};
    } else if (size > 0) {
      head_ = Head{load<std::uint8_t>(text) | load<std::uint8_t>(text + size / 2) << (8 * (size / 2)) |
                       load<std::uint8_t>(text + size - 1) << (8 * (size - 1)),
                   0};
    }
  }

  Head head_ = {};
  std::uint64_t tail_ = 0;
};
static_assert(sizeof(Bytes) == 24);

}  // namespace weft
