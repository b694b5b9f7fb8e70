// SPDX-License-Identifier: MIT
// MsgpackWriter: writes msgpack tokens, each in its shortest form, into a ByteBuffer, or through ReservedRoom
// into memory that the caller has reserved for everything that is written.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "weft/detail/byte_buffer.hpp"
#include "weft/error.hpp"

namespace weft::detail {

/// Converts between native and big-endian order.
template <class U>
constexpr U big_endian(U value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(U) == 1) {
    return value;
  } else if constexpr (sizeof(U) == 2) {
    return __builtin_bswap16(value);
  } else if constexpr (sizeof(U) == 4) {
    return __builtin_bswap32(value);
  } else {
    return __builtin_bswap64(value);
  }
}

/// The maximum size of a number, or of the header of bytes, an array or a map.
inline constexpr std::size_t kTokenBytesMax = 9;

/// Reserved memory as MsgpackWriter's Out, without any check: checking the capacity for each small field
/// would take a third of the time of encoding a record.
class ReservedRoom {
 public:
  explicit ReservedRoom(char* begin) : end_(begin) {}
  char* room(std::size_t) { return end_; }
  void end_at(char* end) { end_ = end; }
  char* end() const { return end_; }

 private:
  char* end_;
};

/// `Out` is ByteBuffer&, which must outlive the writer, or ReservedRoom.
template <class Out>
class MsgpackWriter {
 public:
  explicit MsgpackWriter(Out out) : out_(out) {}
  const std::remove_reference_t<Out>& out() const { return out_; }

  void nil() { byte(0xc0); }
  void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
  void unsigned_integer(std::uint64_t value) {
    if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
    wide(value);
  }
  void integer(std::int64_t value) {
    if (value >= 0) return unsigned_integer(static_cast<std::uint64_t>(value));
    if (value >= -32) return byte(static_cast<std::uint8_t>(value));
    if (value >= INT8_MIN) return tagged(0xd0, static_cast<std::uint8_t>(value));
    if (value >= INT16_MIN) return tagged(0xd1, static_cast<std::uint16_t>(value));
    if (value >= INT32_MIN) return tagged(0xd2, static_cast<std::uint32_t>(value));
    tagged(0xd3, static_cast<std::uint64_t>(value));
  }
  void floating(float value) { tagged(0xca, std::bit_cast<std::uint32_t>(value)); }
  void floating(double value) { tagged(0xcb, std::bit_cast<std::uint64_t>(value)); }
  void text(std::string_view value) {
    if (value.size() < 32) {
      byte(static_cast<std::uint8_t>(0xa0 | value.size()));
    } else {
      sized(value.size(), 0xd9, 0xda, 0xdb);
    }
    raw(value.data(), value.size());
  }
  void binary(const void* bytes, std::size_t size) {
    binary_of(size);
    raw(bytes, size);
  }
  /// The header of `size` bytes, which the caller writes next.
  void binary_of(std::size_t size) { sized(size, 0xc4, 0xc5, 0xc6); }
  void array(std::size_t size) {
    if (size < 16) return byte(static_cast<std::uint8_t>(0x90 | size));
    sized(size, 0, 0xdc, 0xdd);
  }
  void map(std::size_t size) {
    if (size < 16) return byte(static_cast<std::uint8_t>(0x80 | size));
    sized(size, 0, 0xde, 0xdf);
  }
  /// Writes bytes unchanged: the content after binary_of(), or tokens encoded before.
  void raw(const void* bytes, std::size_t size) {
    if (size == 0) return;
    char* const at = out_.room(size);
    std::memcpy(at, bytes, size);
    out_.end_at(at + size);
  }
  /// Like raw(), for a container with copy_to(), which may write up to C::kSpare extra bytes.
  template <class C>
  void copy_of(const C& bytes) {
    out_.end_at(bytes.copy_to(out_.room(bytes.size() + C::kSpare)));
  }

 private:
  void wide(std::uint64_t value) {
    if (value <= UINT8_MAX) return tagged(0xcc, static_cast<std::uint8_t>(value));
    if (value <= UINT16_MAX) return tagged(0xcd, static_cast<std::uint16_t>(value));
    if (value <= UINT32_MAX) return tagged(0xce, static_cast<std::uint32_t>(value));
    tagged(0xcf, value);
  }
  /// The tag for the width of `size`, then `size`; `tag8` is 0 where msgpack has none.
  void sized(std::size_t size, std::uint8_t tag8, std::uint8_t tag16, std::uint8_t tag32) {
    if (tag8 != 0 && size <= UINT8_MAX) return tagged(tag8, static_cast<std::uint8_t>(size));
    if (size <= UINT16_MAX) return tagged(tag16, static_cast<std::uint16_t>(size));
    if (size <= UINT32_MAX) return tagged(tag32, static_cast<std::uint32_t>(size));
    throw Error("a value of more than 4 GiB (or 4 G elements) cannot be sent: split it");
  }
  void byte(std::uint8_t value) {
    char* const at = out_.room(1);
    *at = static_cast<char>(value);
    out_.end_at(at + 1);
  }
  template <class U>
  void tagged(std::uint8_t tag, U value) {
    char* const at = out_.room(1 + sizeof(U));
    *at = static_cast<char>(tag);
    value = big_endian(value);
    std::memcpy(at + 1, &value, sizeof value);
    out_.end_at(at + 1 + sizeof value);
  }

  Out out_;
};

}  // namespace weft::detail
