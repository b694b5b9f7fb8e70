// SPDX-License-Identifier: MIT
// Reader: msgpack bytes to values, without a tree of objects in between. It trusts nothing: types,
// sizes and ranges must be exactly right, and no more memory is reserved than bytes are there.
// Everything that is wrong is an Error with a sentence.
//
// A struct is filled through the msgpack_pack that MSGPACK_DEFINE made: it hands every member to our
// "packer" as const M&, and the reader writes to it. That is sound because the struct itself is
// never const here. (MSGPACK_DEFINE's own msgpack_unpack takes a tree of msgpack objects, accepts
// arrays of any size, and sees raw vectors as msgpack-c does.)
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/detail/shape.hpp"
#include "weft/detail/type_name.hpp"
#include "weft/detail/writer.hpp"
#include "weft/error.hpp"

namespace weft::detail {

class Reader {
 public:
  /// `bytes` must outlive the reader and whatever text() and bin() return.
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

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

  /// Replaces `value` by what comes next.
  template <class T>
  void read(T& value);

 private:
  friend class MemberReader;
  static constexpr int kDepthMax = 500;  // structs in structs: a stack is finite

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

  std::string_view bytes_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

/// The "packer" that a struct's msgpack_pack sees while the struct is read.
class MemberReader {
 public:
  explicit MemberReader(Reader& reader) : reader_(reader) {}
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
  Reader& reader_;
  bool keys_ = false;  // MSGPACK_DEFINE_MAP: names and members take turns
  bool key_next_ = true;
};

std::string Reader::found() const {
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

std::pair<bool, std::uint64_t> Reader::number() {
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

std::size_t Reader::container(const char* what, std::uint8_t small, std::uint8_t tag16, std::size_t parts) {
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

template <class T>
void Reader::read_floating(T& value) {
  const double number = floating();
  value = static_cast<T>(number);
  if (number - number == 0 && value - value != 0) throw Error(std::to_string(number) + " does not fit float");
}

template <class T>
void Reader::read_bytes(T* to, std::size_t size) {
  const std::string_view bytes = bin();
  exactly("bytes, namely ", size, bytes.size());
  if (size > 0) std::memcpy(to, bytes.data(), size);
}

template <class C>
void Reader::read_sequence(C& value) {
  using Element = typename C::value_type;
  if constexpr (Contiguous<C> && may_be_raw<Element>) {
    if (next_is_bin()) {
      const std::string_view bytes = bin();
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
      value.push_back(boolean());  // vector<bool> has no bool&
    else
      read(value.emplace_back());
  }
}

template <class C>
void Reader::read_fixed(C& value) {
  using Element = std::ranges::range_value_t<C>;
  if constexpr (may_be_raw<C>) {
    if (next_is_bin()) {
      if (!is_raw(value[0])) throw Error("expected an array of " + type_name<Element>() + ", found bytes");
      return read_bytes(&value[0], std::size(value) * sizeof(Element));
    }
  }
  array_of(std::size(value));
  for (auto& element : value) read(element);
}

template <class C>
void Reader::read_set(C& value) {
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
void Reader::read_map(C& value) {
  const std::size_t size = map();
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
void Reader::read_optional(T& value) {
  if (take_nil()) return value.reset();
  if constexpr (may_be_nil<typename T::value_type>) array_of(1);
  read(value.emplace());
}

template <class... Ts, std::size_t... I>
void Reader::read_variant(std::variant<Ts...>& value, std::index_sequence<I...>) {
  array_of(2);
  const auto index = integer<std::size_t>();
  if (index >= sizeof...(Ts))
    throw Error("expected one of " + std::to_string(sizeof...(Ts)) + " alternatives, found number " +
                std::to_string(index));
  ((I == index ? read(value.template emplace<I>()) : void()), ...);
}

template <class T>
void Reader::read_record(T& value) {
  if (++depth_ > kDepthMax)
    throw Error("structs are nested more than " + std::to_string(kDepthMax) + " deep");
  if constexpr (shape_of<T> == Shape::record) {
    MemberReader members(*this);
    value.msgpack_pack(members);
  } else {
    try {
      const msgpack::object_handle handle = msgpack::unpack(bytes_.data(), bytes_.size(), at_);
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
void Reader::read(T& value) {
  require_travels<T>();
  constexpr Shape shape = shape_of<T>;
  if constexpr (shape == Shape::boolean) {
    value = boolean();
  } else if constexpr (shape == Shape::integer) {
    value = integer<T>();
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
    const std::string_view bytes = bin();
    value.resize(bytes.size() / sizeof(wchar_t));
    exactly("bytes, namely ", value.size() * sizeof(wchar_t), bytes.size());
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
    if (!take_nil()) wrong("nil");
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
