// SPDX-License-Identifier: MIT
// Bytes: an immutable, shared string of bytes in one allocation, so that a payload can sit in a
// queue, in an action and in a retransmission list without being copied. Copies may be made and
// dropped from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "common/check.hpp"

namespace weft {

class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::string_view text) : block_(text.empty() ? nullptr : make(text)) {}
  Bytes(const Bytes& other) : block_(other.block_) {
    if (block_) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  Bytes(Bytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Bytes() {
    if (block_ && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      block_->~Block();
      ::operator delete(block_);
    }
  }

  std::string_view view() const { return block_ ? std::string_view(text(), block_->size) : ""; }
  std::size_t size() const { return block_ ? block_->size : 0; }
  bool empty() const { return size() == 0; }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view() == b.view(); }

 private:
  struct Block {
    std::atomic<std::uint32_t> owners{1};
    std::uint32_t size;
  };

  static Block* make(std::string_view text) {
    WEFT_CHECK(text.size() <= UINT32_MAX);
    void* memory = ::operator new(sizeof(Block) + text.size());
    auto* block = new (memory) Block{.size = static_cast<std::uint32_t>(text.size())};
    std::memcpy(static_cast<char*>(memory) + sizeof(Block), text.data(), text.size());
    return block;
  }
  const char* text() const { return reinterpret_cast<const char*>(block_) + sizeof(Block); }

  Block* block_ = nullptr;
};

}  // namespace weft
