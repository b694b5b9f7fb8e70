// SPDX-License-Identifier: MIT
// Finds the members of an aggregate without a macro: their number, types, and references to them. C++20 has
// no reflection: members are counted by trying how many initialisers the type accepts, and accessed by a
// structured binding, which is written out for each number of members.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace weft::detail {

template <class... T>
struct Types {};

inline constexpr std::size_t kMembersMax = 32;

// WEFT_LIST_3(f, x) is f(0), f(1), x.
// clang-format off
#define WEFT_LIST_1(f, x) x
#define WEFT_LIST_2(f, x) WEFT_LIST_1(f, f(0)), x
#define WEFT_LIST_3(f, x) WEFT_LIST_2(f, f(1)), x
#define WEFT_LIST_4(f, x) WEFT_LIST_3(f, f(2)), x
#define WEFT_LIST_5(f, x) WEFT_LIST_4(f, f(3)), x
#define WEFT_LIST_6(f, x) WEFT_LIST_5(f, f(4)), x
#define WEFT_LIST_7(f, x) WEFT_LIST_6(f, f(5)), x
#define WEFT_LIST_8(f, x) WEFT_LIST_7(f, f(6)), x
#define WEFT_LIST_9(f, x) WEFT_LIST_8(f, f(7)), x
#define WEFT_LIST_10(f, x) WEFT_LIST_9(f, f(8)), x
#define WEFT_LIST_11(f, x) WEFT_LIST_10(f, f(9)), x
#define WEFT_LIST_12(f, x) WEFT_LIST_11(f, f(10)), x
#define WEFT_LIST_13(f, x) WEFT_LIST_12(f, f(11)), x
#define WEFT_LIST_14(f, x) WEFT_LIST_13(f, f(12)), x
#define WEFT_LIST_15(f, x) WEFT_LIST_14(f, f(13)), x
#define WEFT_LIST_16(f, x) WEFT_LIST_15(f, f(14)), x
#define WEFT_LIST_17(f, x) WEFT_LIST_16(f, f(15)), x
#define WEFT_LIST_18(f, x) WEFT_LIST_17(f, f(16)), x
#define WEFT_LIST_19(f, x) WEFT_LIST_18(f, f(17)), x
#define WEFT_LIST_20(f, x) WEFT_LIST_19(f, f(18)), x
#define WEFT_LIST_21(f, x) WEFT_LIST_20(f, f(19)), x
#define WEFT_LIST_22(f, x) WEFT_LIST_21(f, f(20)), x
#define WEFT_LIST_23(f, x) WEFT_LIST_22(f, f(21)), x
#define WEFT_LIST_24(f, x) WEFT_LIST_23(f, f(22)), x
#define WEFT_LIST_25(f, x) WEFT_LIST_24(f, f(23)), x
#define WEFT_LIST_26(f, x) WEFT_LIST_25(f, f(24)), x
#define WEFT_LIST_27(f, x) WEFT_LIST_26(f, f(25)), x
#define WEFT_LIST_28(f, x) WEFT_LIST_27(f, f(26)), x
#define WEFT_LIST_29(f, x) WEFT_LIST_28(f, f(27)), x
#define WEFT_LIST_30(f, x) WEFT_LIST_29(f, f(28)), x
#define WEFT_LIST_31(f, x) WEFT_LIST_30(f, f(29)), x
#define WEFT_LIST_32(f, x) WEFT_LIST_31(f, f(30)), x
#define WEFT_LIST_33(f, x) WEFT_LIST_32(f, f(31)), x
#define WEFT_FOR_EACH_COUNT(f) \
  f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15) f(16) f(17) f(18) f(19) f(20) \
  f(21) f(22) f(23) f(24) f(25) f(26) f(27) f(28) f(29) f(30) f(31) f(32)
// clang-format on

// ---- the number of members ----

/// Converts to any member type, but not to T itself, so that T{AnyMember<T>()} does not copy.
template <class T>
struct AnyMember {
  template <class M>
  requires(!std::is_same_v<M, T>) operator M() const;
};
/// Converts to any base of T.
template <class T>
struct AnyBase {
  template <class B>
  requires(std::is_base_of_v<B, T> && !std::is_same_v<B, T>) operator B() const;
};
struct NoMember {};  // initialises only types that accept everything, such as std::any

template <class T, class I>
concept TakesFirst = requires {
  T{I()};
};
template <class T>
inline constexpr bool has_base = TakesFirst<T, AnyBase<T>> && !TakesFirst<T, NoMember>;

struct MemberCount {
  std::size_t members = 0;  // kMembersMax + 1: too many
  bool certain = true;      // false: there are both an array and a member that {} does not initialise
};

template <class T, std::size_t... I>
consteval bool takes_any(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyMember<T>())...}; };
}
template <class T, std::size_t... Before, std::size_t... After>
consteval bool takes_pair(std::index_sequence<Before...>, std::index_sequence<After...>) {
  return requires {
    T{(static_cast<void>(Before), AnyMember<T>())...,
      {AnyMember<T>(), AnyMember<T>()},
      (static_cast<void>(After), AnyMember<T>())...};
  };
}
/// Whether initialiser At of Count initialises the first element of an array: then a pair in braces replaces
/// several initialisers, and fewer may follow it than for a class.
template <class T, std::size_t Count, std::size_t At, std::size_t... Fewer>
consteval bool begins_array(std::index_sequence<Fewer...>) {
  constexpr std::make_index_sequence<At> before;
  return !takes_pair<T>(before, std::make_index_sequence<sizeof...(Fewer)>()) &&
         (takes_pair<T>(before, std::make_index_sequence<Fewer>()) || ...);
}
template <class T, std::size_t... At>
consteval bool has_array(std::index_sequence<At...>) {
  return (begins_array<T, sizeof...(At), At>(std::make_index_sequence<sizeof...(At) - At - 1>()) || ...);
}
/// Counts with an AnyMember for each member; an array takes several of these.
template <class T, std::size_t Count = kMembersMax + 1>
consteval MemberCount count_by_any() {
  if constexpr (Count == 0 || takes_any<T>(std::make_index_sequence<Count>()))
    return {Count, Count > kMembersMax || !has_array<T>(std::make_index_sequence<Count>())};
  else
    return count_by_any<T, Count - 1>();
}

#define WEFT_BRACES(i) \
  {}
#define WEFT_COUNT_IF(n)                                                       \
  if constexpr (!requires { T{WEFT_LIST_##n(WEFT_BRACES, {})}; }) {            \
    if constexpr (requires { T{WEFT_LIST_##n(WEFT_BRACES, AnyMember<T>())}; }) \
      return count_by_any<T>();                                                \
    else                                                                       \
      return {n - 1};                                                          \
  } else
/// Counts with {} for each member; if a member cannot be initialised by {}, uses count_by_any().
template <class T>
consteval MemberCount count_members() {
  if constexpr (!requires { T{}; }) {
    return count_by_any<T>();
  } else
    WEFT_FOR_EACH_COUNT(WEFT_COUNT_IF)
  return {requires {T{WEFT_LIST_33(WEFT_BRACES, {})};
}
? kMembersMax + 1 : kMembersMax
};  // namespace weft::detail
}
#undef WEFT_COUNT_IF
#undef WEFT_BRACES

template <class T>
inline constexpr MemberCount member_count = count_members<T>();

// ---- the types of the members, and references to them ----

#define WEFT_NAME(i) m##i
#define WEFT_TYPE(i) decltype(m##i)
#define WEFT_HAS_ADDRESS(i) \
  requires { &m##i; }

/// The declared types of the members, with const and references, and whether all have an address, as all but
/// bit-fields do.
template <class Members, bool AllHaveAddresses>
struct MemberTypes {
  using Declared = Members;
  static constexpr bool has_bit_field = !AllHaveAddresses;
};

#define WEFT_TYPES_IF(n)                                                \
  if constexpr (member_count<T>.members == n) {                         \
    auto& [WEFT_LIST_##n(WEFT_NAME, last)] = value;                     \
    return MemberTypes<Types<WEFT_LIST_##n(WEFT_TYPE, decltype(last))>, \
                       all_of(WEFT_LIST_##n(                            \
                           WEFT_HAS_ADDRESS, requires { &last; }))>();  \
  } else
template <class... B>
consteval bool all_of(B... flags) {
  return (flags && ...);
}
/// Only for its return type; never called.
template <class T>
auto find_member_types([[maybe_unused]] T& value) {
  WEFT_FOR_EACH_COUNT(WEFT_TYPES_IF)
  return MemberTypes<Types<>, true>();
}
template <class T>
using MembersOf = decltype(find_member_types(std::declval<T&>()));

#define WEFT_VISIT_IF(n)                                             \
  if constexpr (member_count<std::remove_const_t<T>>.members == n) { \
    auto& [WEFT_LIST_##n(WEFT_NAME, last)] = value;                  \
    return visitor(WEFT_LIST_##n(WEFT_NAME, last));                  \
  } else
/// Calls visitor(members...) with references to the members.
template <class T, class V>
decltype(auto) visit_members(T& value, V&& visitor) {
  WEFT_FOR_EACH_COUNT(WEFT_VISIT_IF)
  static_assert(std::is_void_v<T>, "weft: more members than can be visited");
}

#undef WEFT_VISIT_IF
#undef WEFT_TYPES_IF
#undef WEFT_HAS_ADDRESS
#undef WEFT_TYPE
#undef WEFT_NAME
#undef WEFT_FOR_EACH_COUNT
#undef WEFT_LIST_33
#undef WEFT_LIST_32
#undef WEFT_LIST_31
#undef WEFT_LIST_30
#undef WEFT_LIST_29
#undef WEFT_LIST_28
#undef WEFT_LIST_27
#undef WEFT_LIST_26
#undef WEFT_LIST_25
#undef WEFT_LIST_24
#undef WEFT_LIST_23
#undef WEFT_LIST_22
#undef WEFT_LIST_21
#undef WEFT_LIST_20
#undef WEFT_LIST_19
#undef WEFT_LIST_18
#undef WEFT_LIST_17
#undef WEFT_LIST_16
#undef WEFT_LIST_15
#undef WEFT_LIST_14
#undef WEFT_LIST_13
#undef WEFT_LIST_12
#undef WEFT_LIST_11
#undef WEFT_LIST_10
#undef WEFT_LIST_9
#undef WEFT_LIST_8
#undef WEFT_LIST_7
#undef WEFT_LIST_6
#undef WEFT_LIST_5
#undef WEFT_LIST_4
#undef WEFT_LIST_3
#undef WEFT_LIST_2
#undef WEFT_LIST_1

}  // namespace weft::detail
