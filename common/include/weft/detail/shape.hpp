// SPDX-License-Identifier: MIT
// Which types can travel, and how each one is laid out: the one table that the concept, its
// sentences, the writer and the reader share.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <complex>
#include <cstddef>
#include <deque>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "weft/detail/msgpack.hpp"

namespace weft {
template <class R>
class Future;
}

namespace weft::detail {

static_assert(std::endian::native == std::endian::little, "weft: raw elements travel in little-endian order");

template <class>
inline constexpr bool always_false = false;

/// How a type travels. In msgpack: numbers as numbers, text as str, nil and arrays as one expects;
/// a variant as [index, value]; a map as map; a sequence of raw elements as one bin of their bytes;
/// an optional as nil or the value, which is put in an array of one where it could be nil itself.
enum class Shape {
  none,  // it cannot
  boolean,
  integer,
  floating,
  long_double,  // a bin, with its padding zeroed
  enumeration,
  text,
  wide_text,  // a bin of wchar_t
  duration,
  time_point,
  complex,
  unit,
  optional,
  variant,
  product,   // pair and tuple
  fixed,     // std::array and T[N]
  sequence,  // vector, deque, list
  set,
  map,
  record,  // a struct with MSGPACK_DEFINE
  custom,  // a struct with msgpack_pack and msgpack_unpack written by hand
};

template <class... T>
struct Types {};

/// A struct whose msgpack_pack and msgpack_unpack can be called.
template <class T>
concept Packable = std::is_class_v<T> &&
    requires(T& v, msgpack::packer<msgpack::sbuffer>& packer, msgpack::object o) {
  static_cast<const T&>(v).msgpack_pack(packer);
  v.msgpack_unpack(o);
};
/// One for which MSGPACK_DEFINE made them: then its packing visits the members themselves.
template <class T>
concept Defined = Packable<T> && requires(const T& v, msgpack::object* o, msgpack::zone& zone) {
  v.msgpack_object(o, zone);
};

template <class T>
consteval Shape shape_of_other() {
  if constexpr (std::is_same_v<T, bool>)
    return Shape::boolean;
  else if constexpr (std::is_integral_v<T>)
    return sizeof(T) <= 8 ? Shape::integer : Shape::none;
  else if constexpr (std::is_same_v<T, long double>)
    return Shape::long_double;
  else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>)
    return Shape::floating;
  else if constexpr (std::is_enum_v<T>)
    return Shape::enumeration;
  else if constexpr (std::is_same_v<T, std::monostate>)
    return Shape::unit;
  else if constexpr (Defined<T>)
    return Shape::record;
  else if constexpr (Packable<T>)
    return Shape::custom;
  else
    return Shape::none;
}

template <Shape S, class... Part>
struct Described {
  static constexpr Shape shape = S;
  using Parts = Types<Part...>;  // that must be able to travel too
};
template <class T>
struct Description : Described<shape_of_other<T>()> {};

template <class A>
struct Description<std::basic_string<char, std::char_traits<char>, A>> : Described<Shape::text> {};
template <class A>
struct Description<std::basic_string<wchar_t, std::char_traits<wchar_t>, A>> : Described<Shape::wide_text> {};
template <class Rep, class Period>
struct Description<std::chrono::duration<Rep, Period>> : Described<Shape::duration, Rep> {};
template <class D>
struct Description<std::chrono::time_point<std::chrono::system_clock, D>> : Described<Shape::time_point, D> {
};
template <class F>
struct Description<std::complex<F>> : Described<Shape::complex, F> {};
template <class T>
struct Description<std::optional<T>> : Described<Shape::optional, T> {};
template <class... T>
struct Description<std::variant<T...>> : Described<Shape::variant, T...> {};
template <class A, class B>
struct Description<std::pair<A, B>> : Described<Shape::product, A, B> {};
template <class... T>
struct Description<std::tuple<T...>> : Described<Shape::product, T...> {};
template <class T, std::size_t N>
struct Description<std::array<T, N>> : Described<Shape::fixed, T> {};
template <class T, std::size_t N>
struct Description<T[N]> : Described<Shape::fixed, T> {};
template <class T, class A>
struct Description<std::vector<T, A>> : Described<Shape::sequence, T> {};
template <class T, class A>
struct Description<std::deque<T, A>> : Described<Shape::sequence, T> {};
template <class T, class A>
struct Description<std::list<T, A>> : Described<Shape::sequence, T> {};
template <class K, class C, class A>
struct Description<std::set<K, C, A>> : Described<Shape::set, K> {};
template <class K, class C, class A>
struct Description<std::multiset<K, C, A>> : Described<Shape::set, K> {};
template <class K, class H, class E, class A>
struct Description<std::unordered_set<K, H, E, A>> : Described<Shape::set, K> {};
template <class K, class H, class E, class A>
struct Description<std::unordered_multiset<K, H, E, A>> : Described<Shape::set, K> {};
template <class K, class V, class C, class A>
struct Description<std::map<K, V, C, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class C, class A>
struct Description<std::multimap<K, V, C, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct Description<std::unordered_map<K, V, H, E, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct Description<std::unordered_multimap<K, V, H, E, A>> : Described<Shape::map, K, V> {};

template <class T>
inline constexpr Shape shape_of = Description<T>::shape;

/// Decoding fills a value that exists, so there must be an empty one to begin with.
template <class T>
concept Fillable = std::is_array_v<T> || std::default_initializable<T>;

template <class T>
consteval bool travels();
template <class... T>
consteval bool all_travel(Types<T...>) {
  return (travels<T>() && ...);
}
template <class T>
consteval bool travels() {
  return shape_of<T> != Shape::none && Fillable<T> && all_travel(typename Description<T>::Parts{});
}

// ---- why a type cannot travel ----

template <class T>
constexpr const char* pretty_type() {
  return __PRETTY_FUNCTION__;
}
template <auto F>
constexpr const char* pretty_value() {
  return __PRETTY_FUNCTION__;
}

/// What stands for the template argument in a __PRETTY_FUNCTION__: "... [with T = HERE]" (GCC) or
/// "... [T = HERE]" (Clang).
constexpr std::string_view pretty_argument(std::string_view text) {
  const auto begin = text.find("= ") + 2;
  std::string_view out = text.substr(begin, text.rfind(']') - begin);
  if (out.starts_with('&')) out.remove_prefix(1);
  return out;
}

/// True for what the standard library has.
template <class T>
inline constexpr bool is_standard = pretty_argument(pretty_type<T>()).starts_with("std::");

template <class T>
concept SmartPointer = requires {
  typename T::element_type;
}
&&requires(T p) { p.reset(); };
template <class T>
concept FunctionObject = std::is_member_function_pointer_v<T> || requires {
  &T::operator();
};

template <class T>
inline constexpr bool is_future = false;
template <class R>
inline constexpr bool is_future<Future<R>> = true;
template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool is_reference_wrapper<std::initializer_list<T>> = true;

template <class T>
consteval void require_travels();
template <class... T>
consteval void require_all_travel(Types<T...>) {
  (require_travels<T>(), ...);
}

/// Compiles when T can travel, else stops with one sentence that says why it cannot. The members of
/// a struct are checked where they are written.
template <class T>
consteval void require_travels() {
  if constexpr (shape_of<T> != Shape::none) {
    require_all_travel(typename Description<T>::Parts{});
    static_assert(Fillable<T>, "weft: this type needs a default constructor, so that it can be decoded");
  } else if constexpr (is_future<T>) {
    static_assert(always_false<T>, "weft: a Future cannot travel: pass its result()");
  } else if constexpr (std::is_function_v<std::remove_pointer_t<T>> || FunctionObject<T>) {
    static_assert(
        always_false<T>,
        "weft: a function cannot travel as a value: call it in a function of your own and submit that");
  } else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T> || std::is_member_pointer_v<T>) {
    static_assert(
        always_false<T>,
        "weft: a pointer means nothing in another process: pass the value, a std::string or a std::vector");
  } else if constexpr (SmartPointer<T>) {
    static_assert(
        always_false<T>,
        "weft: a smart pointer owns memory of this process: pass the value itself, or a std::optional");
  } else if constexpr (std::is_reference_v<T> || is_reference_wrapper<T>) {
    static_assert(always_false<T>, "weft: a reference means nothing in another process: pass the value");
  } else if constexpr (std::ranges::view<T> || std::input_or_output_iterator<T>) {
    static_assert(
        always_false<T>,
        "weft: a view or an iterator points to memory of this process: use std::string or std::vector");
  } else if constexpr (std::is_class_v<T> && is_standard<T>) {
    static_assert(
        always_false<T>,
        "weft: this standard type cannot travel: pass what it holds as text, numbers or a container");
  } else if constexpr (std::is_class_v<T>) {
    static_assert(always_false<T>,
                  "weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part");
  } else {
    static_assert(always_false<T>, "weft: this type cannot travel to another process");
  }
}

// ---- raw elements: what a vector may send as the bytes that it has ----

template <class T>
inline constexpr bool is_raw_leaf = (std::is_arithmetic_v<T> && !std::is_same_v<T, bool> &&
                                     !std::is_same_v<T, long double>) ||
                                    std::is_enum_v<T>;
template <>
inline constexpr bool is_raw_leaf<std::complex<float>> = true;
template <>
inline constexpr bool is_raw_leaf<std::complex<double>> = true;

/// True when values of T may be raw, as far as the type says. A struct decides with is_raw(value).
template <class T>
inline constexpr bool may_be_raw = is_raw_leaf<T> || (std::is_trivially_copyable_v<T> && Defined<T>);
template <class T, std::size_t N>
inline constexpr bool may_be_raw<std::array<T, N>> = N > 0 && may_be_raw<T>;
template <class T, std::size_t N>
inline constexpr bool may_be_raw<T[N]> = may_be_raw<T>;

template <class T>
bool is_raw(const T& value);

/// Given to a struct's msgpack_pack, it visits the members, and finds out whether they cover the
/// struct: raw, in order, and with no gap that could hide a pointer which MSGPACK_DEFINE leaves out.
class RawProbe {
 public:
  explicit RawProbe(const void* begin) : next_(static_cast<const char*>(begin)) {}

  void pack_array(std::uint32_t) {}
  void pack_map(std::uint32_t) { keys_ = true; }
  template <class M>
  void pack(const M& member) {
    if (keys_ && std::exchange(key_next_, !key_next_)) return;
    if constexpr (may_be_raw<M>) {
      reach(&member);
      raw_ = raw_ && is_raw(member);
      next_ += sizeof(M);
    } else {
      raw_ = false;
    }
  }

  /// True when the members covered everything up to `end`.
  bool covered(const void* end) {
    reach(end);
    return raw_;
  }

 private:
  void reach(const void* address) {
    const auto gap = static_cast<const char*>(address) - next_;
    raw_ = raw_ && gap >= 0 && gap < static_cast<std::ptrdiff_t>(sizeof(void*));
    next_ = static_cast<const char*>(address);
  }

  const char* next_;  // where the next member is expected
  bool raw_ = true;
  bool keys_ = false;
  bool key_next_ = true;
};

template <class T>
bool is_raw(const T& value) {
  if constexpr (is_raw_leaf<T>) {
    return true;
  } else if constexpr (shape_of<T> == Shape::fixed) {
    return is_raw(value[0]);
  } else {
    RawProbe probe(&value);
    value.msgpack_pack(probe);
    return probe.covered(&value + 1);
  }
}

/// The elements lie one behind the other, as in a vector.
template <class C>
concept Contiguous = std::is_array_v<C> ||
    (std::ranges::contiguous_range<C>&& requires(const C& c) { c.data(); });

}  // namespace weft::detail
