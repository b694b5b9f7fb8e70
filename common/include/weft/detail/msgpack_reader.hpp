// SPDX-License-Identifier: MIT
// MsgpackReader: reads untrusted msgpack in place (zero-copy), token by token, without building a tree of
// objects. The first unexpected token sets a flag, after which all reads fail, so a caller may read a whole
// record and check ok() once. fault() then says what was expected and what was found.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/detail/msgpack_writer.hpp"

namespace weft::detail {

/// "unsigned long", for messages.
template <class I>
constexpr const char* integer_name() {
  constexpr std::pair<bool, const char*> kNames[] = {
      {std::is_same_v<I, char>, "char"},
      {std::is_same_v<I, signed char>, "signed char"},
      {std::is_same_v<I, unsigned char>, "unsigned char"},
      {std::is_same_v<I, short>, "short"},
      {std::is_same_v<I, unsigned short>, "unsigned short"},
      {std::is_same_v<I, int>, "int"},
      {std::is_same_v<I, unsigned int>, "unsigned int"},
      {std::is_same_v<I, long>, "long"},
      {std::is_same_v<I, unsigned long>, "unsigned long"},
      {std::is_same_v<I, long long>, "long long"},
      {std::is_same_v<I, unsigned long long>, "unsigned long long"},
  };
  for (const auto& [same, name] : kNames) {
    if (same) return name;
  }
  return "a character";
}

class MsgpackReader {
 public:
  /// `bytes` must outlive the reader and whatever text() and binary() return.
  explicit MsgpackReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return next_ == end_; }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - next_); }
  const char* next() const { return next_; }
  /// Continues at `next`; the bytes before it have been read by other means.
  void skip_to(const char* next) { next_ = next; }
  /// "expected a bool, found text". REQUIRES: !ok().
  std::string fault() const;

  // ---- peeking at the next token ----
  bool nil_is_next() const { return tag_is(0xc0, 0xc0); }
  bool binary_is_next() const { return tag_is(0xc4, 0xc6); }
  bool array_is_next() const { return tag_is(0x90, 0x9f) || tag_is(0xdc, 0xdd); }

  // ---- tokens ----
  void nil() {
    if (byte() != 0xc0) fail("nil", 1);
  }
  bool boolean() {
    const std::uint8_t tag = byte();
    if ((tag | 1) != 0xc3) fail("a bool", 1);
    return tag == 0xc3;
  }
  /// An integer that fits I, in any of msgpack's widths. I may be any integer type except bool.
  template <class I>
  I integer();
  /// A floating-point number, or an integer, converted.
  double floating();
  std::string_view text();
  std::string_view binary() {
    const std::uint8_t tag = byte();
    if (tag == 0xc4) return take(big<std::uint8_t>());
    if (tag == 0xc5) return take(big<std::uint16_t>());
    if (tag == 0xc6) return take(big<std::uint32_t>());
    fail("bytes", 1);
    return {};
  }
  /// The number of elements, or of pairs. Each takes at least a byte, so the number never exceeds the
  /// remaining bytes.
  std::size_t array() { return container("an array", 0x90, 0xdc, 1); }
  std::size_t map() { return container("a map", 0x80, 0xde, 2); }
  void array_of(std::size_t size) {
    if (size < 16 && !at_end() && peek() == (0x90 | size)) {
      ++next_;
    } else {
      exactly("an array of", size, array());
    }
  }
  void map_of(std::size_t size) { exactly("a map of", size, map()); }
  /// Skips one value of any type and returns its bytes.
  std::string_view skip();

  /// Rejects the input; nothing can be read after that. `expected` is a literal. `back`: how many bytes ago
  /// the faulty token began.
  void fail(const char* expected, std::size_t back = 0);
  /// Fails unless `size` is the `expected` one; `what` is a literal.
  void exactly(const char* what, std::size_t expected, std::size_t size) {
    if (size == expected || !ok_) return;
    fault_ = {.expected = what, .kind = FaultKind::size, .wanted = expected, .got = size};
    stop();
  }

 private:
  enum class FaultKind : std::uint8_t { token, size, range };
  struct Fault {
    const char* expected = nullptr;
    const char* at = nullptr;  // the faulty token
    FaultKind kind = FaultKind::token;
    bool negative = false;     // range: `got` is the bits of a negative number
    std::uint64_t wanted = 0;  // size
    std::uint64_t got = 0;
    const char* type = nullptr;  // range
  };
  /// Negative or not, and the bits as of an int64 or a uint64.
  struct Number {
    bool negative;
    std::uint64_t bits;
  };

  std::uint8_t peek() const { return static_cast<std::uint8_t>(*next_); }
  bool tag_is(std::uint8_t first, std::uint8_t last) const {
    return !at_end() && peek() >= first && peek() <= last;
  }
  void fail_at_end() {
    next_ = end_;
    fail("more");
  }
  void stop() {
    ok_ = false;
    next_ = end_;
  }
  /// The next byte; 0 at the end, which is a fault.
  std::uint8_t byte() {
    if (next_ == end_) {
      fail("more");
      return 0;
    }
    return static_cast<std::uint8_t>(*next_++);
  }
  template <class U>
  U big() {
    U value = 0;
    if (remaining() < sizeof(U)) {
      fail_at_end();
      return value;
    }
    std::memcpy(&value, next_, sizeof value);
    next_ += sizeof value;
    return big_endian(value);
  }
  std::string_view take(std::size_t size) {
    if (!ok_ || remaining() < size) {
      fail_at_end();
      return {};
    }
    const std::string_view bytes(next_, size);
    next_ += size;
    return bytes;
  }
  Number number();
  std::size_t container(const char* what, std::uint8_t small, std::uint8_t tag16, std::size_t parts);
  std::string found() const;

  const char* next_;
  const char* end_;
  bool ok_ = true;
  Fault fault_;
};

template <class I>
I MsgpackReader::integer() {
  if (!at_end() && peek() < 0x80) return static_cast<I>(*next_++);
  const auto [negative, bits] = number();
  const auto value = static_cast<I>(bits);
  const bool fits =
      negative ? std::is_signed_v<I> && static_cast<std::int64_t>(value) == static_cast<std::int64_t>(bits)
               : bits <= static_cast<std::uint64_t>(std::numeric_limits<I>::max());
  if (!fits && ok_) {
    fault_ = {.kind = FaultKind::range, .negative = negative, .got = bits, .type = integer_name<I>()};
    stop();
  }
  return value;
}

inline auto MsgpackReader::number() -> Number {
  const auto signed_number = [](std::int64_t value) {
    return Number{value < 0, static_cast<std::uint64_t>(value)};
  };
  const std::uint8_t tag = byte();
  if (tag >= 0xe0) return signed_number(static_cast<std::int8_t>(tag));
  switch (tag) {
    case 0xcc:
      return {false, big<std::uint8_t>()};
    case 0xcd:
      return {false, big<std::uint16_t>()};
    case 0xce:
      return {false, big<std::uint32_t>()};
    case 0xcf:
      return {false, big<std::uint64_t>()};
    case 0xd0:
      return signed_number(static_cast<std::int8_t>(big<std::uint8_t>()));
    case 0xd1:
      return signed_number(static_cast<std::int16_t>(big<std::uint16_t>()));
    case 0xd2:
      return signed_number(static_cast<std::int32_t>(big<std::uint32_t>()));
    case 0xd3:
      return signed_number(static_cast<std::int64_t>(big<std::uint64_t>()));
    default:
      if (tag >= 0x80) fail("an integer", 1);
      return {false, tag};
  }
}

inline double MsgpackReader::floating() {
  if (tag_is(0xca, 0xca)) {
    ++next_;
    return std::bit_cast<float>(big<std::uint32_t>());
  }
  if (tag_is(0xcb, 0xcb)) {
    ++next_;
    return std::bit_cast<double>(big<std::uint64_t>());
  }
  const bool is_integer = at_end() || peek() < 0x80 || peek() >= 0xe0 || tag_is(0xcc, 0xd3);
  if (!is_integer) {
    fail("a number");
    return 0;
  }
  const auto [negative, bits] = number();
  return negative ? static_cast<double>(static_cast<std::int64_t>(bits)) : static_cast<double>(bits);
}

inline std::string_view MsgpackReader::text() {
  const std::uint8_t tag = byte();
  if ((tag & 0xe0) == 0xa0) return take(tag & 0x1f);
  switch (tag) {
    case 0xd9:
      return take(big<std::uint8_t>());
    case 0xda:
      return take(big<std::uint16_t>());
    case 0xdb:
      return take(big<std::uint32_t>());
    default:
      fail("text", 1);
      return {};
  }
}

inline std::size_t MsgpackReader::container(const char* what, std::uint8_t small, std::uint8_t tag16,
                                            std::size_t parts) {
  const std::uint8_t tag = byte();
  std::size_t size = 0;
  if ((tag & 0xf0) == small) {
    size = tag & 0x0f;
  } else if (tag == tag16) {
    size = big<std::uint16_t>();
  } else if (tag == tag16 + 1) {
    size = big<std::uint32_t>();
  } else {
    fail(what, 1);
  }
  // A forged size must not make the caller reserve memory.
  if (size * parts > remaining()) fail_at_end();
  return ok_ ? size : 0;
}

/// Not recursive, since the input may be nested more deeply than the stack allows: nested values are added to
/// the number of values to skip.
inline std::string_view MsgpackReader::skip() {
  const char* const begin = next_;
  for (std::uint64_t values = 1; values > 0 && ok_; --values) {
    if (array_is_next()) {
      values += array();
    } else if (tag_is(0x80, 0x8f) || tag_is(0xde, 0xdf)) {
      values += 2 * map();
    } else if (tag_is(0xa0, 0xbf) || tag_is(0xd9, 0xdb)) {
      text();
    } else if (binary_is_next()) {
      binary();
    } else if (tag_is(0xd4, 0xd8)) {  // an extension: its type, then 1, 2, 4, 8 or 16 bytes
      take((std::size_t{1} << (byte() - 0xd4U)) + 1);
    } else if (tag_is(0xc7, 0xc9)) {
      const unsigned width = 1U << (byte() - 0xc7U);
      const std::size_t size = width == 1   ? big<std::uint8_t>()
                               : width == 2 ? big<std::uint16_t>()
                                            : big<std::uint32_t>();
      take(size + 1);
    } else if (tag_is(0xc0, 0xc0) || tag_is(0xc2, 0xc3)) {
      ++next_;
    } else {
      floating();
    }
  }
  return ok_ ? std::string_view(begin, static_cast<std::size_t>(next_ - begin)) : std::string_view();
}

inline void MsgpackReader::fail(const char* expected, std::size_t back) {
  if (ok_) fault_ = {.expected = expected, .at = next_ - back};
  stop();
}

inline std::string MsgpackReader::fault() const {
  switch (fault_.kind) {
    case FaultKind::size:
      return std::string("expected ") + fault_.expected + " " + std::to_string(fault_.wanted) +
             ", found one of " + std::to_string(fault_.got);
    case FaultKind::range:
      return (fault_.negative ? std::to_string(static_cast<std::int64_t>(fault_.got))
                              : std::to_string(fault_.got)) +
             " does not fit " + fault_.type;
    case FaultKind::token:
      break;
  }
  return std::string("expected ") + fault_.expected + ", found " + found();
}

inline std::string MsgpackReader::found() const {
  if (fault_.at == end_) return "the end";
  const auto tag = static_cast<std::uint8_t>(*fault_.at);
  if (tag < 0x80 || tag >= 0xe0 || (tag >= 0xcc && tag <= 0xd3)) return "an integer";
  if (tag < 0x90 || tag == 0xde || tag == 0xdf) return "a map";
  if (tag < 0xa0 || tag == 0xdc || tag == 0xdd) return "an array";
  if (tag < 0xc0 || (tag >= 0xd9 && tag <= 0xdb)) return "text";
  if (tag == 0xc0) return "nil";
  if (tag == 0xc2 || tag == 0xc3) return "a bool";
  if (tag >= 0xc4 && tag <= 0xc6) return "bytes";
  if (tag == 0xca || tag == 0xcb) return "a floating number";
  return "something else";
}

}  // namespace weft::detail
