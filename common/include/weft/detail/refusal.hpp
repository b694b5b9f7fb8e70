// SPDX-License-Identifier: MIT
// Says at compile time, in one sentence, why a type cannot be sent. The condition of each static_assert is
// the concept can_travel, so that GCC and Clang also name the type.
#pragma once

#include "weft/detail/shape.hpp"

namespace weft::detail {

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
concept can_travel = travels<T>();

template <class T, class... Above>
consteval void require_travels();
template <class... Above, class... T>
consteval void require_all_travel(Types<T...>) {
  (require_travels<T, Above...>(), ...);
}

/// Rejects a class or union with a sentence.
template <class T>
consteval void refuse_class() {
  if constexpr (Adapted<T>) {
    static_assert(
        can_travel<T>,
        "weft: the adaptor of this type lacks something: it needs static W to_wire(const T&) and static "
        "T from_wire(W), where W is another type");
  } else if constexpr (is_standard<T>) {
    static_assert(
        can_travel<T>,
        "weft: this standard type cannot travel: pass what it holds as text, numbers or a container, or "
        "specialise weft::adaptor for it");
  } else if constexpr (std::is_union_v<T>) {
    static_assert(
        can_travel<T>,
        "weft: a union does not say what it holds: use std::variant, or specialise weft::adaptor for it");
  } else if constexpr (leaves_members_behind<T>) {
    static_assert(
        can_travel<T>,
        "weft: this struct has MSGPACK_DEFINE from its base alone, and its own members would be left "
        "behind: add MSGPACK_DEFINE(MSGPACK_BASE(Base), members...) to it");
  } else if constexpr (PlainAggregate<T>) {
    constexpr AggregateFault fault = aggregate_fault<T>;
    static_assert(fault != AggregateFault::base || can_travel<T>,
                  "weft: the members of a struct with a base cannot be found: add "
                  "MSGPACK_DEFINE(MSGPACK_BASE(Base), members...) to it, or specialise weft::adaptor for it");
    static_assert(
        fault != AggregateFault::members || can_travel<T>,
        "weft: a struct travels by itself when it has 1 to 32 members: add MSGPACK_DEFINE(members...) to "
        "this one, or specialise weft::adaptor for it");
    static_assert(fault != AggregateFault::array || can_travel<T>,
                  "weft: this struct has an array beside a member without a default constructor: make it a "
                  "std::array, or specialise weft::adaptor for the struct");
    static_assert(
        fault != AggregateFault::reference || can_travel<T>,
        "weft: a member of this struct is a reference, which means nothing in another process: make it a "
        "value");
    static_assert(
        fault != AggregateFault::bit_field || can_travel<T>,
        "weft: this struct has a bit-field: make it a whole number, or specialise weft::adaptor for the "
        "struct");
  } else {
    static_assert(
        can_travel<T>,
        "weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part, or, when "
        "it is not yours, specialise weft::adaptor for it");
  }
}

/// Compiles if T can be sent; otherwise fails with one sentence that says why not. The members of a struct
/// with MSGPACK_DEFINE are checked where they are written.
template <class T, class... Above>
consteval void require_travels() {
  if constexpr ((std::is_same_v<T, Above> || ...)) {
    return;
  } else if constexpr (shape_of<T> == Shape::aggregate || shape_of<T> == Shape::adapted) {
    require_all_travel<T, Above...>(typename Description<T>::Parts{});
    static_assert(decodes<T>() || !all_travel<T, Above...>(typename Description<T>::Parts{}),
                  "weft: this struct has an array beside a member without a default constructor: make it a "
                  "std::array, or specialise weft::adaptor for the struct");
  } else if constexpr (shape_of<T> != Shape::none) {
    require_all_travel<Above...>(typename Description<T>::Parts{});
    static_assert(
        decodes<T>() || !all_travel<Above...>(typename Description<T>::Parts{}) || can_travel<T>,
        "weft: this type needs a default constructor, so that it can be decoded, or a weft::adaptor");
  } else if constexpr (is_future<T>) {
    static_assert(can_travel<T>, "weft: a Future cannot travel: pass its result()");
  } else if constexpr (std::is_function_v<std::remove_pointer_t<T>> ||
                       (FunctionObject<T> && !PlainAggregate<T>)) {
    static_assert(
        can_travel<T>,
        "weft: a function cannot travel as a value: call it in a function of your own and submit that");
  } else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T> || std::is_member_pointer_v<T>) {
    static_assert(
        can_travel<T>,
        "weft: a pointer means nothing in another process: pass the value, a std::string or a std::vector");
  } else if constexpr (SmartPointer<T>) {
    static_assert(
        can_travel<T>,
        "weft: a smart pointer owns memory of this process: pass the value itself, or a std::optional");
  } else if constexpr (std::is_reference_v<T> || is_reference_wrapper<T>) {
    static_assert(can_travel<T>, "weft: a reference means nothing in another process: pass the value");
  } else if constexpr (std::ranges::view<T> || std::input_or_output_iterator<T>) {
    static_assert(
        can_travel<T>,
        "weft: a view or an iterator points to memory of this process: use std::string or std::vector");
  } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
    refuse_class<T>();
  } else {
    static_assert(can_travel<T>, "weft: this type cannot travel to another process");
  }
}

}  // namespace weft::detail
