// SPDX-License-Identifier: MIT
// Writer: values to msgpack bytes. Structs are visited through the msgpack_pack that MSGPACK_DEFINE
// made, which is a template on its packer and so takes ours.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/detail/shape.hpp"
#include "weft/error.hpp"

namespace weft::detail {

/// True when a value of T may travel as nil, so that an optional around it needs an array of one.
template <class T>
inline constexpr bool may_be_nil =
    shape_of<T> == Shape::optional || shape_of<T> == Shape::unit || shape_of<T> == Shape::custom;

class Writer {
 public:
  /// Appends to `out`, which must outlive the writer.
  explicit Writer(std::string& out) : out_(out) {}

  void nil() { byte(0xc0); }
  void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
  void unsigned_integer(std::uint64_t value) {
    if (value < 128)
      byte(static_cast<std::uint8_t>(value));
    else if (value <= UINT8_MAX)
      tagged(0xcc, static_cast<std::uint8_t>(value));
    else if (value <= UINT16_MAX)
      tagged(0xcd, static_cast<std::uint16_t>(value));
    else if (value <= UINT32_MAX)
      tagged(0xce, static_cast<std::uint32_t>(value));
    else
      tagged(0xcf, value);
  }
  void integer(std::int64_t value) {
    if (value >= 0)
      unsigned_integer(static_cast<std::uint64_t>(value));
    else if (value >= -32)
      byte(static_cast<std::uint8_t>(value));
    else if (value >= INT8_MIN)
      tagged(0xd0, static_cast<std::uint8_t>(value));
    else if (value >= INT16_MIN)
      tagged(0xd1, static_cast<std::uint16_t>(value));
    else if (value >= INT32_MIN)
      tagged(0xd2, static_cast<std::uint32_t>(value));
    else
      tagged(0xd3, static_cast<std::uint64_t>(value));
  }
  void floating(float value) { tagged(0xca, std::bit_cast<std::uint32_t>(value)); }
  void floating(double value) { tagged(0xcb, std::bit_cast<std::uint64_t>(value)); }
  void text(std::string_view value) {
    if (value.size() < 32)
      byte(static_cast<std::uint8_t>(0xa0 | value.size()));
    else
      sized(value.size(), 0xd9, 0xda, 0xdb);
    out_.append(value);
  }
  void bin(const void* bytes, std::size_t size) {
    sized(size, 0xc4, 0xc5, 0xc6);
    if (size > 0) out_.append(static_cast<const char*>(bytes), size);
  }
  void array(std::size_t size) {
    if (size < 16)
      byte(static_cast<std::uint8_t>(0x90 | size));
    else
      sized(size, 0, 0xdc, 0xdd);
  }
  void map(std::size_t size) {
    if (size < 16)
      byte(static_cast<std::uint8_t>(0x80 | size));
    else
      sized(size, 0, 0xde, 0xdf);
  }

  /// Any value that can travel; anything else does not compile, with a sentence.
  template <class T>
  void write(const T& value);

 private:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  /// `tag`, then `value` with its most significant byte first.
  template <class U>
  void tagged(std::uint8_t tag, U value) {
    char bytes[1 + sizeof(U)] = {static_cast<char>(tag)};
    for (std::size_t i = 0; i < sizeof(U); ++i)
      bytes[1 + i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * (sizeof(U) - 1 - i))));
    out_.append(bytes, sizeof bytes);
  }
  /// A size under the tag for its width; tag8 is 0 where msgpack has none.
  void sized(std::size_t size, std::uint8_t tag8, std::uint8_t tag16, std::uint8_t tag32) {
    if (tag8 != 0 && size <= UINT8_MAX)
      tagged(tag8, static_cast<std::uint8_t>(size));
    else if (size <= UINT16_MAX)
      tagged(tag16, static_cast<std::uint16_t>(size));
    else if (size <= UINT32_MAX)
      tagged(tag32, static_cast<std::uint32_t>(size));
    else
      throw Error("a value of more than 4 GiB (or 4 G elements) cannot travel: send it in pieces");
  }
  template <class C>
  void write_elements(const C& container, std::size_t size);
  template <class T>
  void write_optional(const T& value);

  std::string& out_;
};

/// The packer that a struct's msgpack_pack sees.
class MemberWriter {
 public:
  explicit MemberWriter(Writer& writer) : writer_(writer) {}
  void pack_array(std::uint32_t size) { writer_.array(size); }
  void pack_map(std::uint32_t size) {
    writer_.map(size);
    keys_ = true;
  }
  template <class M>
  void pack(const M& member) {
    if (keys_ && std::exchange(key_next_, !key_next_)) {
      // Only a key converts to text here: a member that does is written as its own type below.
      if constexpr (std::is_convertible_v<const M&, std::string_view>) writer_.text(member);
    } else {
      writer_.write(member);
    }
  }

 private:
  Writer& writer_;
  bool keys_ = false;  // MSGPACK_DEFINE_MAP: names and members take turns
  bool key_next_ = true;
};

template <class C>
void Writer::write_elements(const C& container, std::size_t size) {
  using Element = std::ranges::range_value_t<const C>;
  if constexpr (Contiguous<C> && may_be_raw<Element>) {
    if (size > 0 && is_raw(*std::begin(container))) return bin(std::data(container), size * sizeof(Element));
  }
  array(size);
  for (const auto& element : container) write<Element>(element);
}

template <class T>
void Writer::write_optional(const T& value) {
  using Inside = typename T::value_type;
  if (!value) return nil();
  if constexpr (may_be_nil<Inside>) array(1);
  write(*value);
}

template <class T>
void Writer::write(const T& value) {
  require_travels<T>();
  constexpr Shape shape = shape_of<T>;
  if constexpr (shape == Shape::boolean) {
    boolean(value);
  } else if constexpr (shape == Shape::integer) {
    if constexpr (std::is_signed_v<T>)
      integer(value);
    else
      unsigned_integer(value);
  } else if constexpr (shape == Shape::floating) {
    floating(value);
  } else if constexpr (shape == Shape::long_double) {
    char bytes[sizeof(T)] = {};
    std::memcpy(bytes, &value, std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T));
    bin(bytes, sizeof bytes);
  } else if constexpr (shape == Shape::enumeration) {
    write(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (shape == Shape::text) {
    text(value);
  } else if constexpr (shape == Shape::wide_text) {
    bin(value.data(), value.size() * sizeof(wchar_t));
  } else if constexpr (shape == Shape::duration) {
    write(value.count());
  } else if constexpr (shape == Shape::time_point) {
    write(value.time_since_epoch());
  } else if constexpr (shape == Shape::complex) {
    array(2);
    write(value.real());
    write(value.imag());
  } else if constexpr (shape == Shape::unit) {
    nil();
  } else if constexpr (shape == Shape::optional) {
    write_optional(value);
  } else if constexpr (shape == Shape::variant) {
    if (value.valueless_by_exception()) throw Error("a std::variant without a value cannot travel");
    array(2);
    unsigned_integer(value.index());
    std::visit([this](const auto& alternative) { this->write(alternative); }, value);
  } else if constexpr (shape == Shape::product) {
    array(std::tuple_size_v<T>);
    std::apply([this](const auto&... part) { (this->write(part), ...); }, value);
  } else if constexpr (shape == Shape::fixed || shape == Shape::sequence || shape == Shape::set) {
    write_elements(value, std::size(value));
  } else if constexpr (shape == Shape::map) {
    map(value.size());
    for (const auto& [key, mapped] : value) {
      write(key);
      write(mapped);
    }
  } else if constexpr (shape == Shape::record) {
    MemberWriter members(*this);
    value.msgpack_pack(members);
  } else if constexpr (shape == Shape::custom) {
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer(buffer);
    value.msgpack_pack(packer);
    out_.append(buffer.data(), buffer.size());
  }
}

}  // namespace weft::detail
