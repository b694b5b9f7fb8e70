// SPDX-License-Identifier: MIT
// IntrusivePtr<T>: an intrusive reference-counted pointer. A handle is one word and needs no control block,
// since a program may hold a million futures.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// Base of objects held by IntrusivePtr. The count starts at 0; the last IntrusivePtr destroys the object.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain(std::uint32_t times = 1) noexcept { count_.fetch_add(times, std::memory_order_relaxed); }
  /// retain() while no other thread can have a reference: a plain increment instead of a locked one.
  void retain_early() noexcept {
    count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void release() noexcept {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) end();
  }

 protected:
  virtual ~RefCounted() = default;

 private:
  template <class T>
  friend class RefBlocks;

  /// The header of a block of RefBlocks.
  struct Block {
    std::atomic<std::uint32_t> users;  // live objects, plus unused places of the block
    void release(std::uint32_t count) noexcept {
      if (users.fetch_sub(count, std::memory_order_acq_rel) == count) ::operator delete(this);
    }
  };

  void end() noexcept;

  std::atomic<std::uint32_t> count_{0};
  std::uint32_t offset_ = 0;  // offset of this object in its block; 0: not in a block
};

/// A counted reference to a RefCounted T, or null. Different IntrusivePtrs to one object may be used by
/// different threads.
template <class T>
class IntrusivePtr {
 public:
  IntrusivePtr() = default;
  explicit IntrusivePtr(T* object) : object_(object) {
    if (object_ != nullptr) object_->retain();
  }
  /// Takes over a reference that has already been retained.
  static IntrusivePtr adopt(T* object) noexcept {
    IntrusivePtr ref;
    ref.object_ = object;
    return ref;
  }
  /// Like IntrusivePtr(object), for an object to which no other thread can have a reference yet.
  static IntrusivePtr early(T* object) noexcept {
    object->retain_early();
    return adopt(object);
  }
  IntrusivePtr(const IntrusivePtr& other) : IntrusivePtr(other.object_) {}
  IntrusivePtr(IntrusivePtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  IntrusivePtr(const IntrusivePtr<U>& other)
      : IntrusivePtr(other.get()) {}  // NOLINT: implicit, as the conversion of U* to T*
  IntrusivePtr& operator=(IntrusivePtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~IntrusivePtr() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

/// Allocates the states of one map(), which come and go together and may be millions: several objects share a
/// block of memory, which is freed with the last of them. Used by one thread; the objects may outlive the
/// RefBlocks.
template <class T>
class RefBlocks {
 public:
  /// `expected`: number of objects that will be made; 0: unknown.
  explicit RefBlocks(std::size_t expected) : expected_(expected) {}
  ~RefBlocks() { close(); }
  RefBlocks(const RefBlocks&) = delete;
  RefBlocks& operator=(const RefBlocks&) = delete;

  IntrusivePtr<T> make() {
    static_assert(std::is_nothrow_default_constructible_v<T>);
    if constexpr (kMost < 2 || alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      return IntrusivePtr<T>::early(new T);
    } else {
      if (made_ == capacity_) open();
      void* const place = reinterpret_cast<char*>(block_) + kFirst + made_++ * sizeof(T);
      T* const object = new (place) T;
      RefCounted& counted = *object;
      counted.offset_ =
          static_cast<std::uint32_t>(reinterpret_cast<char*>(&counted) - reinterpret_cast<char*>(block_));
      return IntrusivePtr<T>::early(object);
    }
  }

 private:
  using Block = RefCounted::Block;
  static constexpr std::size_t kFirst = std::max(sizeof(Block), alignof(T));
  static constexpr std::size_t kBlockBytes = 4000;  // small, since one live object retains the whole block
  static constexpr std::size_t kMost = (kBlockBytes - kFirst) / sizeof(T);

  void open() {
    close();
    const std::size_t wanted = expected_ > total_ ? expected_ - total_ : std::max<std::size_t>(total_, 1);
    const std::size_t capacity = std::min(kMost, wanted);
    block_ = new (::operator new(kFirst + capacity * sizeof(T))) Block{static_cast<std::uint32_t>(capacity)};
    capacity_ = capacity;
    total_ += capacity;
  }
  /// Gives up the remaining places of the block.
  void close() noexcept {
    if (made_ < capacity_) block_->release(static_cast<std::uint32_t>(capacity_ - made_));
    made_ = capacity_ = 0;
  }

  const std::size_t expected_;
  std::size_t total_ = 0;  // places in all blocks
  Block* block_ = nullptr;
  std::size_t capacity_ = 0;  // of block_
  std::size_t made_ = 0;      // objects made in block_
};

}  // namespace weft::detail
