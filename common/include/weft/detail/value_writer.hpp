// SPDX-License-Identifier: MIT
// ValueWriter: encodes C++ values as msgpack. A struct with MSGPACK_DEFINE is visited through the generated
// msgpack_pack, a template that accepts our packer.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/detail/byte_buffer.hpp"
#include "weft/detail/msgpack_writer.hpp"
#include "weft/detail/raw.hpp"
#include "weft/error.hpp"

namespace weft::detail {

/// Whether a value of T may be encoded as nil, so that an optional around it needs an array of one.
template <class T>
inline constexpr bool may_be_nil =
    shape_of<T> == Shape::optional || shape_of<T> == Shape::unit || shape_of<T> == Shape::custom;
template <class T>
requires(shape_of<T> == Shape::adapted) inline constexpr bool may_be_nil<T> = may_be_nil<WireOf<T>>;

class ValueWriter : public MsgpackWriter<ByteBuffer&> {
 public:
  using MsgpackWriter::MsgpackWriter;

  /// Encodes a value of any serialisable type; others are rejected at compile time with a sentence.
  template <class T>
  void write(const T& value);

 private:
  template <class C>
  void write_elements(const C& container, std::size_t size);
  template <class T>
  void write_optional(const T& value);
};

/// The packer that is passed to a struct's msgpack_pack.
class MemberWriter {
 public:
  explicit MemberWriter(ValueWriter& writer) : writer_(writer) {}
  void pack_array(std::uint32_t size) { writer_.array(size); }
  void pack_map(std::uint32_t size) {
    writer_.map(size);
    keys_ = true;
  }
  template <class M>
  void pack(const M& member) {
    if (keys_ && std::exchange(key_next_, !key_next_)) {
      // Keys are text. A member that converts to text is written as its own type below.
      if constexpr (std::is_convertible_v<const M&, std::string_view>) writer_.text(member);
    } else {
      writer_.write(member);
    }
  }

 private:
  ValueWriter& writer_;
  bool keys_ = false;  // MSGPACK_DEFINE_MAP: names and members alternate
  bool key_next_ = true;
};

template <class C>
void ValueWriter::write_elements(const C& container, std::size_t size) {
  using Element = std::ranges::range_value_t<const C>;
  if constexpr (Contiguous<C> && may_be_raw<Element>) {
    if (size > 0 && detail::is_raw(*std::begin(container)))
      return binary(std::data(container), size * sizeof(Element));
  }
  array(size);
  for (const auto& element : container) write<Element>(element);
}

template <class T>
void ValueWriter::write_optional(const T& value) {
  using Inside = typename T::value_type;
  if (!value) return nil();
  if constexpr (may_be_nil<Inside>) array(1);
  write(*value);
}

template <class T>
void ValueWriter::write(const T& value) {
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
    binary(bytes, sizeof bytes);
  } else if constexpr (shape == Shape::enumeration) {
    write(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (shape == Shape::text) {
    text(value);
  } else if constexpr (shape == Shape::wide_text) {
    binary(value.data(), value.size() * sizeof(wchar_t));
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
    raw(buffer.data(), buffer.size());
  } else if constexpr (shape == Shape::aggregate) {
    array(member_count<T>.members);
    detail::visit_members(value, [this](const auto&... member) { (this->write(member), ...); });
  } else if constexpr (shape == Shape::adapted) {
    write<WireOf<T>>(adaptor<T>::to_wire(value));
  }
}

}  // namespace weft::detail
