// SPDX-License-Identifier: MIT
// Tokens: msgpack bytes, one number, text, or size at a time. It trusts nothing: everything that is
// not as asked for is an Error with a sentence. Reader makes values of them.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/detail/type_name.hpp"
#include "weft/error.hpp"

namespace weft::detail {

class Tokens {
 public:
  /// `bytes` must outlive the reader and whatever text() and bin() return.
  explicit Tokens(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t remaining() const { return bytes_.size() - at_; }

  /// True, and the nil is consumed, when nil is next.
  bool take_nil() {
    if (at_end() || head() != 0xc0) return false;
    ++at_;
    return true;
  }
  bool boolean() {
    if (const std::uint8_t tag = head(); tag != 0xc2 && tag != 0xc3) wrong("a bool");
    return bytes_[at_++] == '\xc3';
  }
  /// An integer that fits I; `I` may be any integer type but bool.
  template <class I>
  I integer() {
    const auto [negative, bits] = number();
    const auto value = static_cast<I>(bits);
    const bool fits =
        negative ? std::is_signed_v<I> && static_cast<std::int64_t>(value) == static_cast<std::int64_t>(bits)
                 : bits <= static_cast<std::uint64_t>(std::numeric_limits<I>::max());
    if (!fits) {
      throw Error((negative ? std::to_string(static_cast<std::int64_t>(bits)) : std::to_string(bits)) +
                  " does not fit " + type_name<I>());
    }
    return value;
  }
  /// A floating number, or an integer.
  double floating() {
    switch (head()) {
      case 0xca:
        return std::bit_cast<float>(tagged<std::uint32_t>());
      case 0xcb:
        return std::bit_cast<double>(tagged<std::uint64_t>());
      default:
        break;
    }
    if (!is_number(head())) wrong("a number");
    const auto [negative, bits] = number();
    return negative ? static_cast<double>(static_cast<std::int64_t>(bits)) : static_cast<double>(bits);
  }
  std::string_view text() {
    const std::uint8_t tag = head();
    if ((tag & 0xe0) == 0xa0) return take(1, tag & 0x1f);
    if (tag == 0xd9) return take_sized<std::uint8_t>();
    if (tag == 0xda) return take_sized<std::uint16_t>();
    if (tag == 0xdb) return take_sized<std::uint32_t>();
    wrong("text");
  }
  bool next_is_bin() { return head() >= 0xc4 && head() <= 0xc6; }
  std::string_view bin() {
    switch (head()) {
      case 0xc4:
        return take_sized<std::uint8_t>();
      case 0xc5:
        return take_sized<std::uint16_t>();
      case 0xc6:
        return take_sized<std::uint32_t>();
      default:
        wrong("bytes");
    }
  }
  /// The number of elements, or of pairs, that follow.
  std::size_t array() { return container("an array", 0x90, 0xdc, 1); }
  std::size_t map() { return container("a map", 0x80, 0xde, 2); }
  /// An array of exactly `size`.
  void array_of(std::size_t size) { exactly("an array of ", size, array()); }
  void map_of(std::size_t size) { exactly("a map of ", size, map()); }

 protected:
  [[noreturn]] void wrong(const char* expected) const {
    throw Error(std::string("expected ") + expected + ", found " + found());
  }
  static void exactly(const char* what, std::size_t expected, std::size_t size) {
    if (expected == size) return;
    throw Error(std::string("expected ") + what + std::to_string(expected) + ", found one of " +
                std::to_string(size));
  }
  inline std::string found() const;

  std::uint8_t head() const {
    if (at_end()) throw Error("expected more, found the end");
    return static_cast<std::uint8_t>(bytes_[at_]);
  }
  static bool is_number(std::uint8_t tag) {
    return tag < 0x80 || tag >= 0xe0 || (tag >= 0xcc && tag <= 0xd3);
  }

  std::string_view take(std::size_t skip, std::size_t size) {
    if (remaining() < skip || remaining() - skip < size) throw Error("expected more, found the end");
    const std::string_view out = bytes_.substr(at_ + skip, size);
    at_ += skip + size;
    return out;
  }
  /// Skips the tag and reads the number behind it, which has its most significant byte first.
  template <class U>
  U tagged() {
    const std::string_view text = take(1, sizeof(U));
    U value = 0;
    for (const char c : text)
      value = static_cast<U>((static_cast<std::uint64_t>(value) << 8) | static_cast<std::uint8_t>(c));
    return value;
  }
  template <class U>
  std::string_view take_sized() {
    const U size = tagged<U>();
    return take(0, size);
  }
  template <class S>
  std::pair<bool, std::uint64_t> signed_number() {
    const auto value = static_cast<std::int64_t>(static_cast<S>(tagged<std::make_unsigned_t<S>>()));
    return {value < 0, static_cast<std::uint64_t>(value)};
  }
  /// Negative or not, and the bits as of an int64 or a uint64.
  inline std::pair<bool, std::uint64_t> number();
  inline std::size_t container(const char* what, std::uint8_t small, std::uint8_t tag16, std::size_t parts);

  std::string_view bytes_;
  std::size_t at_ = 0;
};

std::string Tokens::found() const {
  if (at_end()) return "the end";
  const std::uint8_t tag = head();
  if (is_number(tag)) return "an integer";
  if (tag < 0x90 || tag == 0xde || tag == 0xdf) return "a map";
  if (tag < 0xa0 || tag == 0xdc || tag == 0xdd) return "an array";
  if (tag < 0xc0 || (tag >= 0xd9 && tag <= 0xdb)) return "text";
  if (tag == 0xc0) return "nil";
  if (tag == 0xc2 || tag == 0xc3) return "a bool";
  if (tag >= 0xc4 && tag <= 0xc6) return "bytes";
  if (tag == 0xca || tag == 0xcb) return "a floating number";
  return "something else";
}

std::pair<bool, std::uint64_t> Tokens::number() {
  const std::uint8_t tag = head();
  if (tag < 0x80) return ++at_, std::pair{false, std::uint64_t{tag}};
  if (tag >= 0xe0) return ++at_, std::pair{true, static_cast<std::uint64_t>(static_cast<std::int8_t>(tag))};
  switch (tag) {
    case 0xcc:
      return {false, tagged<std::uint8_t>()};
    case 0xcd:
      return {false, tagged<std::uint16_t>()};
    case 0xce:
      return {false, tagged<std::uint32_t>()};
    case 0xcf:
      return {false, tagged<std::uint64_t>()};
    case 0xd0:
      return signed_number<std::int8_t>();
    case 0xd1:
      return signed_number<std::int16_t>();
    case 0xd2:
      return signed_number<std::int32_t>();
    case 0xd3:
      return signed_number<std::int64_t>();
    default:
      wrong("an integer");
  }
}

std::size_t Tokens::container(const char* what, std::uint8_t small, std::uint8_t tag16, std::size_t parts) {
  const std::uint8_t tag = head();
  std::size_t size = 0;
  if ((tag & 0xf0) == small)
    ++at_, size = tag & 0x0f;
  else if (tag == tag16)
    size = tagged<std::uint16_t>();
  else if (tag == tag16 + 1)
    size = tagged<std::uint32_t>();
  else
    wrong(what);
  // Each element takes a byte at least, so a size that lies cannot make us reserve much.
  if (size * parts > remaining()) throw Error("expected more, found the end");
  return size;
}

}  // namespace weft::detail
