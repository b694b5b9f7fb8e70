// SPDX-License-Identifier: MIT
// The compiler's spelling of a type or a function.
#pragma once

#include <string_view>

namespace weft::detail {

template <class T>
constexpr const char* pretty_type() {
  return __PRETTY_FUNCTION__;
}
template <auto F>
constexpr const char* pretty_value() {
  return __PRETTY_FUNCTION__;
}

/// Extracts the template argument from a __PRETTY_FUNCTION__: "... [with T = HERE]" (GCC) or "... [T = HERE]"
/// (Clang).
constexpr std::string_view pretty_argument(std::string_view text) {
  const auto begin = text.find("= ") + 2;
  std::string_view out = text.substr(begin, text.rfind(']') - begin);
  if (out.starts_with('&')) out.remove_prefix(1);
  return out;
}

/// Whether T is a type of the standard library.
template <class T>
inline constexpr bool is_standard = pretty_argument(pretty_type<T>()).starts_with("std::");

}  // namespace weft::detail
