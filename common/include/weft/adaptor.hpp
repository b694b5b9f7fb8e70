// SPDX-License-Identifier: MIT
// adaptor: how a type that is not yours is sent. Specialise it for the type or for a template:
//
//   template <>
//   struct weft::adaptor<std::filesystem::path> {
//     static std::string to_wire(const std::filesystem::path& path) { return path.string(); }
//     static std::filesystem::path from_wire(std::string text) { return text; }
//   };
//
// to_wire() returns a value of any serialisable type, and from_wire() makes a T from such a value. It may
// throw: a std::exception becomes a weft::Error that quotes its what(). T needs no default constructor, and
// can be an argument, a result, a key, a member, or an element of a container. The specialisation must be
// visible wherever a T is sent or received, and takes precedence over every other encoding of the type. The
// bytes on the wire are those of to_wire()'s result; a signature has the name of T.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

namespace weft {

template <class T>
struct adaptor;

namespace detail {

/// A specialisation exists, though it may be incomplete.
template <class T>
concept Adapted = requires {
  sizeof(adaptor<T>);
};

/// The type that is sent for a T.
template <class T>
using WireOf = std::remove_cvref_t<decltype(adaptor<T>::to_wire(std::declval<const T&>()))>;

template <class T>
concept WellAdapted = Adapted<T> && requires(const T& value) {
  { adaptor<T>::from_wire(std::declval<WireOf<T>>()) } -> std::convertible_to<T>;
} && !std::same_as<WireOf<T>, T>;

}  // namespace detail
}  // namespace weft
