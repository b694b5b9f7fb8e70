// SPDX-License-Identifier: MIT
// ValueReader: msgpack to values of a program, without a tree of objects in between. Types, sizes and ranges
// must be exactly right, and no more memory is reserved than bytes are there.
//
// A struct is filled through the msgpack_pack that MSGPACK_DEFINE made: it hands every member to our
// "packer" as const M&, and the reader writes to it. That is sound because the struct itself is
// never const here. (MSGPACK_DEFINE's own msgpack_unpack takes a tree of msgpack objects, accepts
// arrays of any size, and sees raw vectors as msgpack-c does.)
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/detail/msgpack_reader.hpp"
#include "weft/detail/shape.hpp"
#include "weft/detail/type_name.hpp"
#include "weft/detail/value_writer.hpp"
#include "weft/error.hpp"

namespace weft::detail {

/// The tokens of a MsgpackReader, each as asked for or an Error with a sentence.
class ValueReader {
 public:
  /// `bytes` must outlive the reader and whatever text() returns.
  explicit ValueReader(std::string_view bytes) : bytes_(bytes), in_(bytes) {}

  /// Replaces `value` by what comes next.
  template <class T>
  void read(T& value);

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
  static constexpr int kDepthMax = 500;  // structs in structs: a stack is finite

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
  bool keys_ = false;  // MSGPACK_DEFINE_MAP: names and members take turns
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
      if (!is_raw(value.front()))
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
    else
      read(value.emplace_back());
  }
}

template <class C>
void ValueReader::read_fixed(C& value) {
  using Element = std::ranges::range_value_t<C>;
  if constexpr (may_be_raw<C>) {
    if (in_.binary_is_next()) {
      if (!is_raw(value[0])) throw Error("expected an array of " + type_name<Element>() + ", found bytes");
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
  for (std::size_t i = 0; i < size; ++i) {
    typename C::value_type element{};
    read(element);
    value.insert(value.end(), std::move(element));
  }
  if (value.size() != size) throw Error("expected a set, found an element twice");
}

template <class C>
void ValueReader::read_map(C& value) {
  const std::size_t size = checked(in_.map());
  value.clear();
  for (std::size_t i = 0; i < size; ++i) {
    typename C::key_type key{};
    read(key);
    typename C::mapped_type mapped{};
    read(mapped);
    value.emplace_hint(value.end(), std::move(key), std::move(mapped));
  }
  if (value.size() != size) throw Error("expected a map, found a key twice");
}

template <class T>
void ValueReader::read_optional(T& value) {
  if (in_.nil_is_next()) {
    in_.nil();
    return value.reset();
  }
  if constexpr (may_be_nil<typename T::value_type>) array_of(1);
  read(value.emplace());
}

template <class... Ts, std::size_t... I>
void ValueReader::read_variant(std::variant<Ts...>& value, std::index_sequence<I...>) {
  array_of(2);
  const auto index = checked(in_.integer<std::size_t>());
  if (index >= sizeof...(Ts))
    throw Error("expected one of " + std::to_string(sizeof...(Ts)) + " alternatives, found number " +
                std::to_string(index));
  ((I == index ? read(value.template emplace<I>()) : void()), ...);
}

template <class T>
void ValueReader::read_record(T& value) {
  if (++depth_ > kDepthMax)
    throw Error("structs are nested more than " + std::to_string(kDepthMax) + " deep");
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
  --depth_;
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
  }
}

}  // namespace weft::detail
