// SPDX-License-Identifier: MIT
// ValueReader: decodes msgpack into C++ values, without an intermediate tree of objects. Types, sizes and
// ranges must match exactly, and a container never reserves more elements than there are bytes.
//
// A struct with MSGPACK_DEFINE is filled through the generated msgpack_pack: it passes every member to our
// "packer" as const M&, and the reader writes to it. This is sound because the struct itself is never const
// here. (The generated msgpack_unpack takes a tree of msgpack objects, accepts arrays of any size, and reads
// raw vectors in msgpack-c's encoding.)
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/detail/msgpack_reader.hpp"
#include "weft/detail/raw.hpp"
#include "weft/detail/type_name.hpp"
#include "weft/detail/value_writer.hpp"
#include "weft/error.hpp"

namespace weft::detail {

/// Reads through a MsgpackReader; every unexpected token throws an Error with a sentence.
class ValueReader {
 public:
  /// `bytes` must outlive the reader and whatever text() returns.
  explicit ValueReader(std::string_view bytes) : bytes_(bytes), in_(bytes) {}

  /// Decodes the next value into `value`.
  template <class T>
  void read(T& value);
  /// Decodes and returns the next value; T needs no default constructor.
  template <class T>
  T make();

  bool at_end() const { return in_.at_end(); }
  std::size_t remaining() const { return in_.remaining(); }
  std::string_view text() { return checked(in_.text()); }
  void array_of(std::size_t size) {
    in_.array_of(size);
    check();
  }
  void map_of(std::size_t size) {
    in_.map_of(size);
    check();
  }

 private:
  static constexpr int kDepthMax = 500;  // of nested structs, since the stack is finite

  template <class T>
  void read_floating(T& value);
  template <class T>
  void read_bytes(T* to, std::size_t size);
  template <class C>
  void read_sequence(C& value);
  template <class C>
  void read_fixed(C& value);
  template <class C>
  void read_set(C& value);
  template <class C>
  void read_map(C& value);
  template <class T>
  void read_optional(T& value);
  template <class... Ts, std::size_t... I>
  void read_variant(std::variant<Ts...>& value, std::index_sequence<I...>);
  template <class T>
  void read_record(T& value);
  template <class T>
  void read_aggregate(T& value);

  template <class T, class... M>
  T make_aggregate(Types<M...>);
  template <class T, class... Part>
  T make_product(Types<Part...>);
  template <class T, std::size_t... I>
  T make_array(std::index_sequence<I...>);
  template <class T, std::size_t I = 0>
  T make_variant(std::size_t index);
  template <class T>
  T make_adapted();
  template <class Variant>
  std::size_t alternative();

  void enter() {
    if (++depth_ > kDepthMax)
      throw Error("structs are nested more than " + std::to_string(kDepthMax) + " deep");
  }
  void leave() { --depth_; }

  void check() const {
    if (!in_.ok()) throw Error(in_.fault());
  }
  template <class T>
  T checked(T token) const {
    check();
    return token;
  }
  std::string_view binary() { return checked(in_.binary()); }
  std::size_t array() { return checked(in_.array()); }
  void exactly(const char* what, std::size_t expected, std::size_t size) {
    in_.exactly(what, expected, size);
    check();
  }

  std::string_view bytes_;
  MsgpackReader in_;
  int depth_ = 0;
};

/// Moves `by` into `value`, even if T has no assignment operator.
template <class T>
void replace(T& value, T&& by) {
  if constexpr (std::is_move_assignable_v<T>) {
    value = std::move(by);
  } else {
    static_assert(
        std::is_nothrow_move_constructible_v<T>,
        "weft: a member of a type that can neither be assigned nor moved without exceptions cannot be "
        "decoded");
    std::destroy_at(&value);
    std::construct_at(&value, std::move(by));
  }
}

/// The "packer" that a struct's msgpack_pack sees while the struct is read.
class MemberReader {
 public:
  explicit MemberReader(ValueReader& reader) : reader_(reader) {}
  void pack_array(std::uint32_t size) { reader_.array_of(size); }
  void pack_map(std::uint32_t size) {
    reader_.map_of(size);
    keys_ = true;
  }
  template <class M>
  void pack(const M& member) {
    if (keys_ && std::exchange(key_next_, !key_next_)) {
      if constexpr (std::is_convertible_v<const M&, std::string_view>) {
        const std::string_view key = reader_.text();
        if (key != std::string_view(member))
          throw Error("expected the member " + std::string(member) + ", found " + std::string(key));
      }
    } else {
      reader_.read(const_cast<M&>(member));
    }
  }

 private:
  ValueReader& reader_;
  bool keys_ = false;  // MSGPACK_DEFINE_MAP: names and members alternate
  bool key_next_ = true;
};

template <class T>
void ValueReader::read_floating(T& value) {
  const double number = checked(in_.floating());
  value = static_cast<T>(number);
  if (number - number == 0 && value - value != 0) throw Error(std::to_string(number) + " does not fit float");
}

template <class T>
void ValueReader::read_bytes(T* to, std::size_t size) {
  const std::string_view bytes = binary();
  exactly("bytes, namely", size, bytes.size());
  if (size > 0) std::memcpy(to, bytes.data(), size);
}

template <class C>
void ValueReader::read_sequence(C& value) {
  using Element = typename C::value_type;
  if constexpr (Contiguous<C> && may_be_raw<Element>) {
    if (in_.binary_is_next()) {
      const std::string_view bytes = binary();
      if (bytes.size() % sizeof(Element) != 0)
        throw Error("expected whole elements of " + std::to_string(sizeof(Element)) + " bytes, found " +
                    std::to_string(bytes.size()) + " bytes");
      value.resize(bytes.size() / sizeof(Element));
      if (value.empty()) return;
      if (!detail::is_raw(value.front()))
        throw Error("expected an array of " + type_name<Element>() + ", found bytes");
      std::memcpy(value.data(), bytes.data(), bytes.size());
      return;
    }
  }
  const std::size_t size = array();
  value.clear();
  if constexpr (requires { value.reserve(size); }) value.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    if constexpr (std::is_same_v<Element, bool>)
      value.push_back(checked(in_.boolean()));  // vector<bool> has no bool&
    else if constexpr (fills<Element>())
      read(value.emplace_back());
    else
      value.push_back(make<Element>());
  }
}

template <class C>
void ValueReader::read_fixed(C& value) {
  using Element = std::ranges::range_value_t<C>;
  if constexpr (may_be_raw<C>) {
    if (in_.binary_is_next()) {
      if (!detail::is_raw(value[0]))
        throw Error("expected an array of " + type_name<Element>() + ", found bytes");
      return read_bytes(&value[0], std::size(value) * sizeof(Element));
    }
  }
  array_of(std::size(value));
  for (auto& element : value) read(element);
}

template <class C>
void ValueReader::read_set(C& value) {
  const std::size_t size = array();
  value.clear();
  for (std::size_t i = 0; i < size; ++i) value.insert(value.end(), make<typename C::value_type>());
  if (value.size() != size) throw Error("expected a set, found an element twice");
}

template <class C>
void ValueReader::read_map(C& value) {
  const std::size_t size = checked(in_.map());
  value.clear();
  for (std::size_t i = 0; i < size; ++i) {
    auto key = make<typename C::key_type>();
    value.emplace_hint(value.end(), std::move(key), make<typename C::mapped_type>());
  }
  if (value.size() != size) throw Error("expected a map, found a key twice");
}

template <class T>
void ValueReader::read_optional(T& value) {
  if (in_.nil_is_next()) {
    in_.nil();
    return value.reset();
  }
  using Inside = typename T::value_type;
  if constexpr (may_be_nil<Inside>) array_of(1);
  if constexpr (fills<Inside>())
    read(value.emplace());
  else
    value.emplace(make<Inside>());
}

template <class Variant>
std::size_t ValueReader::alternative() {
  constexpr std::size_t size = std::variant_size_v<Variant>;
  array_of(2);
  const auto index = checked(in_.integer<std::size_t>());
  if (index >= size)
    throw Error("expected one of " + std::to_string(size) + " alternatives, found number " +
                std::to_string(index));
  return index;
}

template <class... Ts, std::size_t... I>
void ValueReader::read_variant(std::variant<Ts...>& value, std::index_sequence<I...>) {
  const std::size_t index = alternative<std::variant<Ts...>>();
  const auto emplace = [&]<std::size_t J>(std::integral_constant<std::size_t, J>) {
    using Alternative = std::variant_alternative_t<J, std::variant<Ts...>>;
    if constexpr (fills<Alternative>())
      read(value.template emplace<J>());
    else
      value.template emplace<J>(make<Alternative>());
  };
  ((I == index ? emplace(std::integral_constant<std::size_t, I>()) : void()), ...);
}

template <class T>
void ValueReader::read_record(T& value) {
  enter();
  if constexpr (shape_of<T> == Shape::record) {
    MemberReader members(*this);
    value.msgpack_pack(members);
  } else {
    try {
      std::size_t at = bytes_.size() - in_.remaining();
      const msgpack::object_handle handle = msgpack::unpack(bytes_.data(), bytes_.size(), at);
      in_.skip_to(bytes_.data() + at);
      value.msgpack_unpack(handle.get());
    } catch (const msgpack::unpack_error& error) {
      throw Error(std::string("not msgpack: ") + error.what());
    } catch (const msgpack::type_error&) {
      throw Error("expected a " + type_name<T>() + ", found something else");
    }
  }
  leave();
}

template <class T>
void ValueReader::read_aggregate(T& value) {
  enter();
  array_of(member_count<T>.members);
  detail::visit_members(value, [this](auto&... member) { (this->read(member), ...); });
  leave();
}

template <class T>
void ValueReader::read(T& value) {
  require_travels<T>();
  constexpr Shape shape = shape_of<T>;
  if constexpr (shape == Shape::boolean) {
    value = checked(in_.boolean());
  } else if constexpr (shape == Shape::integer) {
    value = checked(in_.integer<T>());
  } else if constexpr (shape == Shape::floating) {
    read_floating(value);
  } else if constexpr (shape == Shape::long_double) {
    read_bytes(&value, sizeof value);
  } else if constexpr (shape == Shape::enumeration) {
    std::underlying_type_t<T> number{};
    read(number);
    value = static_cast<T>(number);
  } else if constexpr (shape == Shape::text) {
    value.assign(text());
  } else if constexpr (shape == Shape::wide_text) {
    const std::string_view bytes = binary();
    value.resize(bytes.size() / sizeof(wchar_t));
    exactly("bytes, namely", value.size() * sizeof(wchar_t), bytes.size());
    if (!value.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
  } else if constexpr (shape == Shape::duration) {
    typename T::rep count{};
    read(count);
    value = T(count);
  } else if constexpr (shape == Shape::time_point) {
    typename T::duration since{};
    read(since);
    value = T(since);
  } else if constexpr (shape == Shape::complex) {
    typename T::value_type parts[2] = {};
    array_of(2);
    read(parts[0]);
    read(parts[1]);
    value = T(parts[0], parts[1]);
  } else if constexpr (shape == Shape::unit) {
    in_.nil();
    check();
  } else if constexpr (shape == Shape::optional) {
    read_optional(value);
  } else if constexpr (shape == Shape::variant) {
    read_variant(value, std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (shape == Shape::product) {
    array_of(std::tuple_size_v<T>);
    std::apply([this](auto&... part) { (this->read(part), ...); }, value);
  } else if constexpr (shape == Shape::fixed) {
    read_fixed(value);
  } else if constexpr (shape == Shape::sequence) {
    read_sequence(value);
  } else if constexpr (shape == Shape::set) {
    read_set(value);
  } else if constexpr (shape == Shape::map) {
    read_map(value);
  } else if constexpr (shape == Shape::record || shape == Shape::custom) {
    read_record(value);
  } else if constexpr (shape == Shape::aggregate) {
    if constexpr (fills<T>())
      read_aggregate(value);
    else
      detail::replace(value, make<T>());
  } else if constexpr (shape == Shape::adapted) {
    detail::replace(value, make_adapted<T>());
  }
}

}  // namespace weft::detail

#include "weft/detail/value_maker.hpp"
