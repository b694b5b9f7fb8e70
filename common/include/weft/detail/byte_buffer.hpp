// SPDX-License-Identifier: MIT
// ByteBuffer: a growing byte array, the target of all encoding: frames, messages to runners, journal entries,
// arguments and results. Room for a whole record is reserved at once, where std::string would check its
// capacity for every field. Contents up to 104 bytes need no allocation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace weft::detail {

class ByteBuffer {
 public:
  ByteBuffer() = default;
  explicit ByteBuffer(std::string_view bytes) { append(bytes.data(), bytes.size()); }
  ByteBuffer(ByteBuffer&& other) noexcept { take_from(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    take_from(other);
    return *this;
  }
  ~ByteBuffer() { release(); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  char* data() { return data_; }
  const char* data() const { return data_; }
  /// Valid until the buffer grows, is moved from or destroyed.
  std::string_view view() const { return {data_, size_}; }
  operator std::string_view() const { return view(); }
  friend bool operator==(const ByteBuffer& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const ByteBuffer& a, const ByteBuffer& b) { return a.view() == b.view(); }

  /// Returns memory for the next `bytes` bytes; end_at() then adds those that the caller has written.
  char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return data_ + size_;
  }
  /// REQUIRES: `end` is inside the memory that room() returned last.
  void end_at(const char* end) { size_ = static_cast<std::size_t>(end - data_); }
  void append(const void* bytes, std::size_t size) {
    if (size == 0) return;
    std::memcpy(room(size), bytes, size);
    size_ += size;
  }
  /// Keeps only the first `size` bytes.
  void truncate(std::size_t size) { size_ = size; }
  /// Returns the content as a string and releases the memory of the buffer.
  std::string take() {
    std::string bytes(view());
    *this = {};
    return bytes;
  }

 private:
  static constexpr std::size_t kInPlace = 104;  // arguments and results of most calls fit

  void grow(std::size_t bytes) {
    constexpr std::size_t kFirst = 512;
    const std::size_t capacity = std::max({size_ + bytes, 2 * capacity_, kFirst});
    char* const memory = new char[capacity];
    std::memcpy(memory, data_, size_);
    release();
    data_ = memory;
    capacity_ = capacity;
  }
  void release() {
    if (data_ != in_place_) delete[] data_;
  }
  void take_from(ByteBuffer& other) {
    size_ = std::exchange(other.size_, 0);
    if (other.data_ == other.in_place_) {
      data_ = in_place_;
      capacity_ = kInPlace;
      std::memcpy(in_place_, other.in_place_, size_);
    } else {
      data_ = std::exchange(other.data_, other.in_place_);
      capacity_ = std::exchange(other.capacity_, kInPlace);
    }
  }

  char* data_ = in_place_;
  std::size_t size_ = 0;
  std::size_t capacity_ = kInPlace;
  char in_place_[kInPlace];
};

}  // namespace weft::detail
