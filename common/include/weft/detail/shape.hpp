// SPDX-License-Identifier: MIT
// Which types can be sent, and how each is encoded: one table that the concept, its error sentences, the
// writer and the reader share.
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

#include "weft/adaptor.hpp"
#include "weft/detail/aggregate.hpp"
#include "weft/detail/msgpack.hpp"
#include "weft/detail/pretty.hpp"

namespace weft {
template <class R>
class Future;
}

namespace weft::detail {

static_assert(std::endian::native == std::endian::little, "weft: raw elements travel in little-endian order");

template <class>
inline constexpr bool always_false = false;

/// How a type is encoded in msgpack: numbers as numbers, text as str, nil and arrays as usual; a variant as
/// [index, value]; a map as map; a sequence of raw elements as one bin of their bytes; an optional as nil or
/// the value, in an array of one if the value could itself be nil; a type with an adaptor as the adaptor's
/// result.
enum class Shape {
  none,  // cannot be sent
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
  record,     // a struct with MSGPACK_DEFINE
  custom,     // a struct with msgpack_pack and msgpack_unpack written by hand
  aggregate,  // a struct without declarations for msgpack: its members are detected
  adapted,    // has a weft::adaptor
};

/// A struct with callable msgpack_pack and msgpack_unpack.
template <class T>
concept Packable = std::is_class_v<T> &&
    requires(T& v, msgpack::packer<msgpack::sbuffer>& packer, msgpack::object o) {
  static_cast<const T&>(v).msgpack_pack(packer);
  v.msgpack_unpack(o);
};
/// A struct for which MSGPACK_DEFINE has generated these functions, so that its msgpack_pack visits the
/// members themselves.
template <class T>
concept Defined = Packable<T> && requires(const T& v, msgpack::object* o, msgpack::zone& zone) {
  v.msgpack_object(o, zone);
};

/// Whether T inherits MSGPACK_DEFINE from a base but has members itself, which would not be sent.
template <class F>
struct ClassOf {};
template <class C>
struct ClassOf<void (C::*)(const msgpack::object&)> {
  using type = C;
};
template <class T>
inline constexpr bool leaves_members_behind = false;
template <Defined T>
requires requires { typename ClassOf<decltype(&T::msgpack_unpack)>::type; }
inline constexpr bool leaves_members_behind<T> =
    sizeof(typename ClassOf<decltype(&T::msgpack_unpack)>::type) != sizeof(T);

/// A struct whose members may be detected.
template <class T>
concept PlainAggregate =
    std::is_class_v<T> && std::is_aggregate_v<T> && !is_standard<T> && !Packable<T> && !requires {
  std::tuple_size<T>::value;
};

template <class>
inline constexpr bool has_reference = false;
template <class... M>
inline constexpr bool has_reference<Types<M...>> = (std::is_reference_v<M> || ...);

/// Why an aggregate cannot be sent, regardless of the types of its members.
enum class AggregateFault { none, base, members, array, reference, bit_field };
template <PlainAggregate T>
consteval AggregateFault find_aggregate_fault() {
  if constexpr (has_base<T>)
    return AggregateFault::base;
  else if constexpr (!member_count<T>.certain)
    return AggregateFault::array;
  else if constexpr (member_count<T>.members == 0 || member_count<T>.members > kMembersMax)
    return AggregateFault::members;
  else if constexpr (has_reference<typename MembersOf<T>::Declared>)
    return AggregateFault::reference;
  else if constexpr (MembersOf<T>::has_bit_field)
    return AggregateFault::bit_field;
  else
    return AggregateFault::none;
}
template <PlainAggregate T>
inline constexpr AggregateFault aggregate_fault = find_aggregate_fault<T>();

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
  else if constexpr (leaves_members_behind<T>)
    return Shape::none;
  else if constexpr (Defined<T>)
    return Shape::record;
  else if constexpr (Packable<T>)
    return Shape::custom;
  else
    return Shape::none;
}
template <PlainAggregate T>
consteval Shape shape_of_other() {
  return aggregate_fault<T> == AggregateFault::none ? Shape::aggregate : Shape::none;
}

template <Shape S, class... Part>
struct Described {
  static constexpr Shape shape = S;
  using Parts = Types<Part...>;  // types that must be sendable too
};
template <class... Part>
Described<Shape::aggregate, std::remove_cv_t<Part>...> described_by(Types<Part...>);

template <class T>
struct BuiltIn : Described<shape_of_other<T>()> {};
template <class T>
requires(shape_of_other<T>() == Shape::aggregate) struct BuiltIn<T>
    : decltype(described_by(typename MembersOf<T>::Declared{})) {
};

template <class A>
struct BuiltIn<std::basic_string<char, std::char_traits<char>, A>> : Described<Shape::text> {};
template <class A>
struct BuiltIn<std::basic_string<wchar_t, std::char_traits<wchar_t>, A>> : Described<Shape::wide_text> {};
template <class Rep, class Period>
struct BuiltIn<std::chrono::duration<Rep, Period>> : Described<Shape::duration, Rep> {};
template <class D>
struct BuiltIn<std::chrono::time_point<std::chrono::system_clock, D>> : Described<Shape::time_point, D> {};
template <class F>
struct BuiltIn<std::complex<F>> : Described<Shape::complex, F> {};
template <class T>
struct BuiltIn<std::optional<T>> : Described<Shape::optional, T> {};
template <class... T>
struct BuiltIn<std::variant<T...>> : Described<Shape::variant, T...> {};
template <class A, class B>
struct BuiltIn<std::pair<A, B>> : Described<Shape::product, A, B> {};
template <class... T>
struct BuiltIn<std::tuple<T...>> : Described<Shape::product, T...> {};
template <class T, std::size_t N>
struct BuiltIn<std::array<T, N>> : Described<Shape::fixed, T> {};
template <class T, std::size_t N>
struct BuiltIn<T[N]> : Described<Shape::fixed, T> {};
template <class T, class A>
struct BuiltIn<std::vector<T, A>> : Described<Shape::sequence, T> {};
template <class T, class A>
struct BuiltIn<std::deque<T, A>> : Described<Shape::sequence, T> {};
template <class T, class A>
struct BuiltIn<std::list<T, A>> : Described<Shape::sequence, T> {};
template <class K, class C, class A>
struct BuiltIn<std::set<K, C, A>> : Described<Shape::set, K> {};
template <class K, class C, class A>
struct BuiltIn<std::multiset<K, C, A>> : Described<Shape::set, K> {};
template <class K, class H, class E, class A>
struct BuiltIn<std::unordered_set<K, H, E, A>> : Described<Shape::set, K> {};
template <class K, class H, class E, class A>
struct BuiltIn<std::unordered_multiset<K, H, E, A>> : Described<Shape::set, K> {};
template <class K, class V, class C, class A>
struct BuiltIn<std::map<K, V, C, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class C, class A>
struct BuiltIn<std::multimap<K, V, C, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct BuiltIn<std::unordered_map<K, V, H, E, A>> : Described<Shape::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct BuiltIn<std::unordered_multimap<K, V, H, E, A>> : Described<Shape::map, K, V> {};

/// Shape and parts of T. An adaptor takes precedence over the built-in encoding.
template <class T>
struct Description : BuiltIn<T> {};
template <Adapted T>
struct Description<T> : Described<Shape::none> {};
template <WellAdapted T>
struct Description<T> : Described<Shape::adapted, WireOf<T>> {};

template <class T>
inline constexpr Shape shape_of = Description<T>::shape;

// ---- how a value of T is decoded ----

template <class>
inline constexpr bool has_const = false;
template <class... M>
inline constexpr bool has_const<Types<M...>> = (std::is_const_v<std::remove_all_extents_t<M>> || ...);

/// Whether a default-constructed value can be filled in place. Elements of containers do not matter here.
template <class T>
consteval bool fills();
template <class... T>
consteval bool all_fill(Types<T...>) {
  return (fills<T>() && ...);
}
template <class T>
consteval bool fills() {
  if constexpr (std::is_array_v<T>) {
    return fills<std::remove_extent_t<T>>();
  } else if constexpr (!std::default_initializable<T>) {
    return false;
  } else if constexpr (shape_of<T> == Shape::adapted) {
    return std::is_move_assignable_v<T>;
  } else if constexpr (shape_of<T> == Shape::aggregate) {
    return !has_const<typename MembersOf<T>::Declared> && all_fill(typename Description<T>::Parts{});
  } else if constexpr (shape_of<T> == Shape::product || shape_of<T> == Shape::fixed) {
    return all_fill(typename Description<T>::Parts{});
  } else {
    return true;
  }
}

/// Whether a value can be decoded: in place, or constructed from its parts, which is not possible for an
/// array in a struct.
template <class T>
consteval bool decodes();
template <class... T>
consteval bool all_decode(Types<T...>) {
  return (decodes<T>() && ...);
}
template <class T>
consteval bool decodes() {
  if constexpr (fills<T>() || shape_of<T> == Shape::adapted)
    return true;
  else if constexpr (std::is_array_v<T>)
    return false;
  else if constexpr (shape_of<T> == Shape::aggregate || shape_of<T> == Shape::product ||
                     shape_of<T> == Shape::fixed || shape_of<T> == Shape::variant)
    return all_decode(typename Description<T>::Parts{});
  else
    return false;
}

// ---- what can be sent ----

/// Whether values of T can be sent. `Above`: the enclosing types, for recursive types such as trees.
template <class T, class... Above>
consteval bool travels();
template <class... Above, class... T>
consteval bool all_travel(Types<T...>) {
  return (travels<T, Above...>() && ...);
}
template <class T, class... Above>
consteval bool travels() {
  if constexpr ((std::is_same_v<T, Above> || ...))
    return true;
  else if constexpr (shape_of<T> == Shape::none)
    return false;
  else if constexpr (shape_of<T> == Shape::aggregate || shape_of<T> == Shape::adapted)
    return decodes<T>() && all_travel<T, Above...>(typename Description<T>::Parts{});
  else
    return decodes<T>() && all_travel<Above...>(typename Description<T>::Parts{});
}

/// The elements are contiguous in memory.
template <class C>
concept Contiguous = std::is_array_v<C> ||
    (std::ranges::contiguous_range<C>&& requires(const C& c) { c.data(); });

}  // namespace weft::detail
