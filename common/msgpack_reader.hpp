// SPDX-License-Identifier: MIT
// MsgpackReader: reads msgpack in place, without an object tree, trusting nothing. Every read says
// whether it succeeded; after the first failure all others fail too, so a caller may read a
// whole record and ask once.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

namespace weft {

/// `value` with its most significant byte first in memory, or back from that.
template <class T>
T big_endian(T value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) {
    return value;
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bswap16(value);
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bswap32(value);
  } else {
    return __builtin_bswap64(value);
  }
}

class MsgpackReader {
 public:
  explicit MsgpackReader(std::string_view text) : next_(text.data()), end_(text.data() + text.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return next_ == end_; }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - next_); }
  const char* next() const { return next_; }
  /// Somebody else has read what comes before `next`.
  void skip_to(const char* next) { next_ = next; }

  std::uint64_t unsigned_number() {
    if (next_ != end_ && static_cast<std::uint8_t>(*next_) < 0x80) return static_cast<std::uint8_t>(*next_++);
    return wide_number();
  }

  std::int64_t signed_number() {
    if (remaining() > 0) {
      const auto tag = static_cast<std::uint8_t>(*next_);
      if (tag >= 0xe0) return static_cast<std::int8_t>(byte());
      switch (tag) {
        case 0xd0:
          byte();
          return static_cast<std::int8_t>(byte());
        case 0xd1:
          byte();
          return static_cast<std::int16_t>(big<std::uint16_t>());
        case 0xd2:
          byte();
          return static_cast<std::int32_t>(big<std::uint32_t>());
        case 0xd3:
          byte();
          return static_cast<std::int64_t>(big<std::uint64_t>());
        default:
          break;
      }
    }
    const std::uint64_t value = unsigned_number();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) fail();
    return static_cast<std::int64_t>(value);
  }

  bool boolean() {
    const std::uint8_t tag = byte();
    if (tag != 0xc2 && tag != 0xc3) fail();
    return tag == 0xc3;
  }

  double real() {
    if (byte() != 0xcb) fail();
    return std::bit_cast<double>(big<std::uint64_t>());
  }

  std::string_view string() {
    const std::uint8_t tag = byte();
    if ((tag & 0xe0) == 0xa0) return take(tag & 0x1f);
    switch (tag) {
      case 0xd9:
        return take(byte());
      case 0xda:
        return take(big<std::uint16_t>());
      case 0xdb:
        return take(big<std::uint32_t>());
      default:
        fail();
        return {};
    }
  }

  std::string_view binary() {
    if (remaining() < 2 || static_cast<std::uint8_t>(*next_) != 0xc4) return long_binary();
    const auto size = static_cast<std::uint8_t>(next_[1]);
    next_ += 2;
    return take(size);
  }

  /// An array of so many elements is next, and has been entered. REQUIRES: count < 16.
  bool array_of(std::size_t count) {
    if (next_ != end_ && static_cast<std::uint8_t>(*next_) == (0x90 | count)) {
      ++next_;
      return true;
    }
    if (array() != count) fail();  // written in another way
    return ok_;
  }

  /// The number of elements; each takes at least a byte, so it is never more than what remains.
  std::size_t array() { return container(0x90, 0xdc); }
  std::size_t map() { return container(0x80, 0xde); }

  /// True when the next element is an array. Reads nothing.
  bool array_is_next() const {
    if (remaining() == 0) return false;
    const auto tag = static_cast<std::uint8_t>(*next_);
    return (tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd;
  }

  std::uint64_t fail() {
    ok_ = false;
    next_ = end_;
    return 0;
  }

 private:
  std::uint64_t wide_number() {
    switch (byte()) {
      case 0xcc:
        return byte();
      case 0xcd:
        return big<std::uint16_t>();
      case 0xce:
        return big<std::uint32_t>();
      case 0xcf:
        return big<std::uint64_t>();
      default:
        return fail();
    }
  }

  std::string_view long_binary() {
    switch (byte()) {
      case 0xc5:
        return take(big<std::uint16_t>());
      case 0xc6:
        return take(big<std::uint32_t>());
      default:
        fail();
        return {};
    }
  }

  std::size_t container(std::uint8_t fixed, std::uint8_t tag16) {
    const std::uint8_t tag = byte();
    std::size_t count = 0;
    if ((tag & 0xf0) == fixed) {
      count = tag & 0x0f;
    } else if (tag == tag16) {
      count = big<std::uint16_t>();
    } else if (tag == tag16 + 1) {
      count = big<std::uint32_t>();
    } else {
      return fail();
    }
    return count <= remaining() ? count : fail();
  }

  std::uint8_t byte() {
    if (next_ == end_) return static_cast<std::uint8_t>(fail());
    return static_cast<std::uint8_t>(*next_++);
  }

  template <class T>
  T big() {
    if (remaining() < sizeof(T)) return static_cast<T>(fail());
    T value = 0;
    std::memcpy(&value, next_, sizeof value);
    next_ += sizeof value;
    return big_endian(value);
  }

  std::string_view take(std::size_t size) {
    if (remaining() < size) {
      fail();
      return {};
    }
    const std::string_view text(next_, size);
    next_ += size;
    return text;
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace weft
