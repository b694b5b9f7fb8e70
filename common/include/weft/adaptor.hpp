// SPDX-License-Identifier: MIT
// adaptor: how a type that is not yours travels. Specialise it for the type, or for a template:
//
//   template <>
//   struct weft::adaptor<std::filesystem::path> {
//     static std::string to_wire(const std::filesystem::path& path) { return path.string(); }
//     static std::filesystem::path from_wire(std::string text) { return text; }
//   };
//
// to_wire() returns any type that travels, from_wire() makes a value from that, and may throw. The type needs
// no default constructor, and may stand wherever a value may: as an argument or a result, in containers, as a
// key, as a member. The specialisation must be visible wherever such a value travels, and comes before
// everything else that could make the type travel. On the wire the value looks like what to_wire() returns;
// in a signature it has the name of the type.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

namespace weft {

template <class T>
struct adaptor;

namespace detail {

/// There is a specialisation, which may lack something.
template <class T>
concept Adapted = requires {
  sizeof(adaptor<T>);
};

/// What a T travels as.
template <class T>
using WireOf = std::remove_cvref_t<decltype(adaptor<T>::to_wire(std::declval<const T&>()))>;

template <class T>
concept WellAdapted = Adapted<T> && requires(const T& value) {
  { adaptor<T>::from_wire(std::declval<WireOf<T>>()) } -> std::convertible_to<T>;
} && !std::same_as<WireOf<T>, T>;

}  // namespace detail
}  // namespace weft
