// SPDX-License-Identifier: MIT
// Names of types and functions, for messages and for the signatures of calls by name: a type has the same
// name with every compiler and standard library.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <type_traits>

#include "weft/detail/shape.hpp"

namespace weft::detail {

inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// Unifies the spellings of different compilers.
inline std::string tidy_name(std::string_view name) {
  std::string out(name);
  // Not static: all task libraries of a runner, of whatever version, would share one object.
  constexpr std::array<std::array<std::string_view, 2>, 13> kSpellings = {{
      {"{anonymous}", "(anonymous namespace)"},
      {"std::__cxx11::", "std::"},
      {"std::filesystem::__cxx11::", "std::filesystem::"},
      {"std::__1::", "std::"},
      {"std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
      {"std::basic_string<char>", "std::string"},
      {"long long unsigned int", "unsigned long long"},
      {"long unsigned int", "unsigned long"},
      {"short unsigned int", "unsigned short"},
      {"long long int", "long long"},
      {"long int", "long"},
      {"short int", "short"},
      {" >", ">"},
  }};
  for (const auto& [from, to] : kSpellings) replace_all(out, from, to);
  constexpr std::string_view kLambda = "(lambda at ";  // Clang's spelling, with the whole path
  if (const auto at = out.find(kLambda); at != std::string::npos) {
    const auto slash = out.rfind('/');
    if (slash != std::string::npos && slash > at)
      out.erase(at + kLambda.size(), slash + 1 - at - kLambda.size());
  }
  return out;
}

template <class T>
std::string type_name();

template <class... T>
std::string type_list(Types<T...>) {
  std::string out;
  [[maybe_unused]] const auto add = [&out](const std::string& name) {
    if (!out.empty()) out += ',';
    out += name;
  };
  (add(type_name<T>()), ...);
  return out;
}

/// The name of a standard template with its element types alone, without allocators and the like. The caller
/// appends the closing '>'.
template <class T>
std::string template_name() {
  std::string name = tidy_name(pretty_argument(pretty_type<T>()));
  return name.substr(0, name.find('<')) + "<" + type_list(typename Description<T>::Parts{});
}

/// The name of a type that is not a template instance with type arguments only; compilers agree on it.
template <class T>
struct OwnName {
  static std::string get() { return tidy_name(pretty_argument(pretty_type<T>())); }
};
/// Spells the arguments itself: compilers differ in the spelling of template arguments, and in whether they
/// show default ones.
template <template <class...> class C, class... A>
struct OwnName<C<A...>> {
  static std::string get() {
    const std::string name = tidy_name(pretty_argument(pretty_type<C<A...>>()));
    std::size_t begin = name.size();  // start of the last argument list
    for (int depth = 0; begin > 0;) {
      const char c = name[--begin];
      depth += (c == '>') - (c == '<');
      if (depth == 0) break;
    }
    return name.substr(0, begin) + "<" + type_list(Types<A...>{}) + ">";
  }
};

template <class T>
struct ArraySize;
template <class T, std::size_t N>
struct ArraySize<std::array<T, N>> : std::integral_constant<std::size_t, N> {};
template <class T, std::size_t N>
struct ArraySize<T[N]> : std::integral_constant<std::size_t, N> {};

/// The duration's unit as a fraction of a second: "std::chrono::duration<long,1/1000>".
template <class D>
std::string duration_name() {
  return "std::chrono::duration<" + type_name<typename D::rep>() + "," + std::to_string(D::period::num) +
         "/" + std::to_string(D::period::den) + ">";
}

/// "long", "std::string", "std::vector<double>", "shop::Basket".
template <class T>
std::string type_name() {
  constexpr Shape shape = shape_of<T>;
  if constexpr (std::is_void_v<T>)
    return "void";
  else if constexpr (shape == Shape::text)
    return "std::string";
  else if constexpr (shape == Shape::wide_text)
    return "std::wstring";
  else if constexpr (shape == Shape::duration)
    return duration_name<T>();
  else if constexpr (shape == Shape::time_point)
    return "std::chrono::system_clock::time_point<" + duration_name<typename T::duration>() + ">";
  else if constexpr (shape == Shape::fixed)
    return "std::array<" + type_list(typename Description<T>::Parts{}) + "," +
           std::to_string(ArraySize<T>::value) + ">";
  else if constexpr (shape == Shape::optional || shape == Shape::variant || shape == Shape::product ||
                     shape == Shape::complex || shape == Shape::sequence || shape == Shape::set ||
                     shape == Shape::map)
    return template_name<T>() + ">";
  else
    return OwnName<T>::get();
}

/// "long(long,double)".
template <class R, class... P>
std::string signature() {
  return type_name<R>() + "(" + type_list(Types<P...>{}) + ")";
}

}  // namespace weft::detail
