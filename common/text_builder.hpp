// SPDX-License-Identifier: MIT
// TextBuilder: a text that grows at its end, a record at a time: the room for a whole record is made at once,
// where std::string would be asked for every field of it.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace weft {

class TextBuilder {
 public:
  TextBuilder() = default;
  TextBuilder(TextBuilder&& other) noexcept { *this = std::move(other); }
  TextBuilder& operator=(TextBuilder&& other) noexcept {
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  explicit TextBuilder(std::string_view begin) { write(begin.data(), begin.size()); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  char* data() { return memory_.get(); }
  std::string_view view() const { return {memory_.get(), size_}; }

  /// Where the next `bytes` bytes go. They are part of the text when end_at() has said so.
  char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return memory_.get() + size_;
  }
  /// REQUIRES: `end` is inside the room that was asked for last.
  void end_at(const char* end) { size_ = static_cast<std::size_t>(end - memory_.get()); }
  /// As msgpack::packer calls it.
  void write(const char* bytes, std::size_t size) {
    std::memcpy(room(size), bytes, size);
    size_ += size;
  }
  /// Drops what is behind the first `size` bytes.
  void cut(std::size_t size) { size_ = size; }
  /// The text; empty afterwards, and without memory.
  std::string take() {
    std::string text(view());
    *this = {};
    return text;
  }

 private:
  void grow(std::size_t bytes) {
    constexpr std::size_t kFirst = 256;
    capacity_ = std::max({size_ + bytes, 2 * capacity_, kFirst});
    auto memory = std::make_unique_for_overwrite<char[]>(capacity_);
    if (size_ > 0) std::memcpy(memory.get(), memory_.get(), size_);
    memory_ = std::move(memory);
  }

  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft
