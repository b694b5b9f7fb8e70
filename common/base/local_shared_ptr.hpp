// SPDX-License-Identifier: MIT
// LocalSharedPtr: a reference-counted pointer, like std::shared_ptr, for use by a single thread. The count is
// not atomic, since an atomic increment drains the store buffer.
#pragma once

#include <cstddef>
#include <utility>

namespace weft {

template <class T>
class LocalSharedPtr {
 public:
  LocalSharedPtr() = default;
  template <class... Args>
  static LocalSharedPtr make(Args&&... args) {
    return LocalSharedPtr(new Block{T{std::forward<Args>(args)...}});
  }
  LocalSharedPtr(const LocalSharedPtr& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->owners;
  }
  LocalSharedPtr(LocalSharedPtr&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  LocalSharedPtr& operator=(LocalSharedPtr other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~LocalSharedPtr() {
    if (block_ != nullptr && --block_->owners == 0) delete block_;
  }

  explicit operator bool() const { return block_ != nullptr; }
  // REQUIRES: not null.
  T& operator*() const { return block_->value; }
  T* operator->() const { return &block_->value; }

  /// Whether both refer to the same object.
  friend bool operator==(const LocalSharedPtr& a, const LocalSharedPtr& b) { return a.block_ == b.block_; }

 private:
  struct Block {
    T value;
    std::size_t owners = 1;
  };
  explicit LocalSharedPtr(Block* block) : block_(block) {}

  Block* block_ = nullptr;
};

}  // namespace weft
