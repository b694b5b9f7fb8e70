// SPDX-License-Identifier: MIT
// Functions as tasks: their parameter and result types, how the client encodes a call, and how a runner
// decodes and makes it. Shared by libclient and task libraries.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/serialise.hpp"

namespace weft {

/// An argument with the same value in every call of a map: map<f>(numbers, weft::same(options)).
template <class T>
struct Same {
  T value;
};
/// Copies or moves `value` into a Same.
template <class T>
Same<std::decay_t<T>> same(T&& value) {
  return {std::forward<T>(value)};
}

namespace detail {

// ---- the parts of a function type ----

template <class R, class... P>
struct Prototype {};

template <class F>
struct PrototypeOf {
  using type = void;  // neither a function nor a call operator
};
template <class R, class... P>
struct PrototypeOf<R (*)(P...)> {
  using type = Prototype<R, P...>;
};
template <class R, class... P>
struct PrototypeOf<R (*)(P...) noexcept> {
  using type = Prototype<R, P...>;
};
template <class L, class R, class... P>
struct PrototypeOf<R (L::*)(P...)> {
  using type = Prototype<R, P...>;
};
template <class L, class R, class... P>
struct PrototypeOf<R (L::*)(P...) noexcept> {
  using type = Prototype<R, P...>;
};
template <class L, class R, class... P>
struct PrototypeOf<R (L::*)(P...) const> {
  using type = Prototype<R, P...>;
};
template <class L, class R, class... P>
struct PrototypeOf<R (L::*)(P...) const noexcept> {
  using type = Prototype<R, P...>;
};

/// The type that stores an argument for parameter P; for a view, the container that it views.
template <class P>
struct StoredAs {
  using type = P;
};
template <>
struct StoredAs<std::string_view> {
  using type = std::string;
};
template <class T>
struct StoredAs<std::span<const T>> {
  using type = std::vector<T>;
};
template <class P>
using Stored = typename StoredAs<std::remove_cvref_t<P>>::type;

/// Compiles if P can be a parameter of a task.
template <class P>
consteval void require_parameter() {
  if constexpr (std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>) {
    static_assert(always_false<P>,
                  "weft: a function that changes its argument changes a copy in another process: take a "
                  "value or a const reference, and return what is new");
  } else {
    require_travels<Stored<P>>();
  }
}

/// Compiles if R can be the result of a task.
template <class R>
consteval void require_result() {
  if constexpr (std::is_lvalue_reference_v<R> && !std::is_const_v<std::remove_reference_t<R>>) {
    static_assert(
        always_false<R>,
        "weft: a function cannot return a reference to what it has in another process: return a value");
  } else if constexpr (!std::is_void_v<R>) {
    require_travels<std::remove_cvref_t<R>>();
  }
}

// ---- arguments, on the client ----

template <class S>
inline constexpr bool is_optional_number = false;
template <class T>
inline constexpr bool is_optional_number<std::optional<T>> = std::is_arithmetic_v<T>;

/// Types that convert to an integer: a plain enum does, an enum class does not.
template <class A>
concept WholeNumber = std::is_integral_v<A> ||(std::is_enum_v<A>&& std::is_convertible_v<A, int>);

/// Converts `value` to S. Throws std::out_of_range, which names the argument by its `position` from 1.
template <class S, WholeNumber A>
S convert_integer(A value, std::size_t position) {
  const auto converted = static_cast<S>(value);
  const bool same_sign = (converted < S{}) == (static_cast<std::common_type_t<A, int>>(value) < 0);
  if (static_cast<A>(converted) != value || !same_sign) {
    throw std::out_of_range("argument " + std::to_string(position) + ": " +
                            std::to_string(static_cast<std::common_type_t<A, int>>(value)) +
                            " does not fit " + type_name<S>());
  }
  return converted;
}

/// Converts `argument` to the stored type S of a parameter, or returns a reference if it has that type
/// already. Converts as a call would, except that an integer that does not fit throws std::out_of_range.
template <class S, class A>
decltype(auto) convert_argument(A&& argument, std::size_t position) {
  using Given = std::remove_cvref_t<A>;
  if constexpr (std::is_same_v<S, Given>) {
    return static_cast<const S&>(argument);
  } else if constexpr (is_optional_number<S> && std::is_arithmetic_v<Given>) {
    return S(convert_argument<typename S::value_type>(argument, position));
  } else if constexpr (std::is_integral_v<S> && std::is_floating_point_v<Given>) {
    static_assert(always_false<A>,
                  "weft: a floating value does not fit an integer parameter: convert it yourself, for "
                  "example with std::lround");
  } else if constexpr (std::is_same_v<S, bool> && WholeNumber<Given>) {
    return static_cast<bool>(argument);
  } else if constexpr (std::is_integral_v<S> && WholeNumber<Given>) {
    return convert_integer<S>(static_cast<Given>(argument), position);
  } else if constexpr (std::is_same_v<S, std::string> && std::is_same_v<Given, std::string_view>) {
    return S(argument);
  } else if constexpr (std::is_convertible_v<A, S> &&
                       !(std::is_arithmetic_v<S> && std::is_pointer_v<std::decay_t<A>>)) {
    return static_cast<S>(std::forward<A>(argument));
  } else {
    static_assert(always_false<A>,
                  "weft: this argument does not convert to the type of the function's parameter");
  }
}

template <class... S>
struct ArgumentWriter {
  template <class... A>
  static ByteBuffer encode(A&&... arguments) {
    ByteBuffer out;
    ValueWriter writer(out);
    writer.array(sizeof...(S));
    std::size_t position = 0;
    (writer.write<S>(convert_argument<S>(std::forward<A>(arguments), ++position)), ...);
    return checked_size(std::move(out));
  }
};

// ---- a call ----

/// Passes `stored` to parameter P: moved into a value, bound to a reference, or viewed by a view.
template <class P>
decltype(auto) pass(Stored<P>& stored) {
  if constexpr (std::is_same_v<Stored<P>, std::remove_cvref_t<P>>)
    return static_cast<P&&>(stored);
  else
    return std::remove_cvref_t<P>(stored);
}

template <class Callable, class Prototype>
struct CallOf {
  static_assert(always_false<Callable>,
                "weft: this is not a function that can be submitted: name a free or static function, or a "
                "lambda without auto parameters");
};

/// Callable has `static decltype(auto) call(...)` and `static std::string name()`.
template <class Callable, class R, class... P>
struct CallOf<Callable, Prototype<R, P...>> {
  using Result = std::remove_cvref_t<R>;
  using Parameters = std::tuple<Stored<P>...>;

  static consteval bool check() {
    require_result<R>();
    (require_parameter<P>(), ...);
    return true;
  }
  static_assert(check());

  /// Encodes a call with `arguments`, each converted to the parameter's type. Throws std::out_of_range when
  /// an integer does not fit, and weft::Error when the call is too large.
  template <class... A>
  static ByteBuffer encode(A&&... arguments) {
    if constexpr (sizeof...(A) == sizeof...(P)) {
      return ArgumentWriter<Stored<P>...>::encode(std::forward<A>(arguments)...);
    } else {
      static_assert(
          sizeof...(A) == sizeof...(P),
          "weft: wrong number of arguments for this function (default arguments must be given too)");
    }
  }

  /// In a runner: decodes the arguments, calls the function, encodes the result. Throws what the function
  /// throws, and weft::Error when `payload` is not a call of this function.
  static ByteBuffer invoke(std::string_view payload) {
    Parameters parameters = decode<Parameters>(payload);
    return apply(parameters, std::index_sequence_for<P...>{});
  }

  static std::string name() { return Callable::name(); }
  static std::string signature() { return detail::signature<Result, Stored<P>...>(); }

 private:
  template <std::size_t... I>
  static ByteBuffer apply([[maybe_unused]] Parameters& parameters, std::index_sequence<I...>) {
    if constexpr (std::is_void_v<R>) {
      Callable::call(pass<P>(std::get<I>(parameters))...);
      return detail::encode(std::monostate{});
    } else {
      return detail::encode<Result>(Callable::call(pass<P>(std::get<I>(parameters))...));
    }
  }
};

template <auto F>
struct FunctionCallable {
  template <class... A>
  static decltype(auto) call(A&&... arguments) {
    return F(std::forward<A>(arguments)...);
  }
  static std::string name() { return tidy_name(pretty_argument(pretty_value<F>())); }
};

template <class L>
struct LambdaCallable {
  template <class... A>
  static decltype(auto) call(A&&... arguments) {
    return L{}(std::forward<A>(arguments)...);
  }
  static std::string name() { return tidy_name(pretty_argument(pretty_type<L>())); }
};

template <class F>
consteval bool require_free_function() {
  static_assert(
      !std::is_member_function_pointer_v<F>,
      "weft: a member function needs its object: submit a function that takes the object as an argument");
  return !std::is_member_function_pointer_v<F>;
}

template <class L>
consteval auto prototype_of_lambda() {
  if constexpr (!std::is_class_v<L>) {
    static_assert(always_false<L>, "weft: name the function as a template argument: submit<f>(arguments...)");
  } else if constexpr (!std::is_empty_v<L> || !std::default_initializable<L>) {
    static_assert(always_false<L>,
                  "weft: a lambda with captures cannot travel: pass captured values as arguments");
  } else if constexpr (!requires { &L::operator(); }) {
    static_assert(
        always_false<L>,
        "weft: give the types of the lambda's parameters: with auto there is no one function to name");
  } else {
    return typename PrototypeOf<decltype(&L::operator())>::type{};
  }
}

/// A call of function F: Result, Parameters, encode(arguments...), invoke(payload), name(), signature().
template <auto F>
struct Call
    : CallOf<
          FunctionCallable<F>,
          typename PrototypeOf<std::enable_if_t<require_free_function<decltype(F)>(), decltype(F)>>::type> {};
/// A call of the captureless lambda type L.
template <class L>
struct LambdaCall : CallOf<LambdaCallable<L>, decltype(prototype_of_lambda<L>())> {};

// ---- a call by name ----

/// The type of an argument in a call by name: its own type, std::string for literals and string views, or
/// std::vector for spans.
template <class A>
struct NamedAs {
  using type = Stored<std::decay_t<A>>;
};
template <class A>
requires std::is_same_v < std::decay_t<A>,
const char* > || std::is_same_v<std::decay_t<A>, char*> struct NamedAs<A> { using type = std::string; };

/// A call<R>("task", arguments...): encode(arguments...), and signature() as for a task of a library.
template <class R, class... A>
struct NamedCall {
  using Result = R;
  static consteval bool check() {
    require_result<R>();
    (require_travels<typename NamedAs<A>::type>(), ...);
    return true;
  }
  static_assert(check());

  template <class... Given>
  static ByteBuffer encode(Given&&... arguments) {
    return ArgumentWriter<typename NamedAs<A>::type...>::encode(std::forward<Given>(arguments)...);
  }
  static std::string signature() { return detail::signature<R, typename NamedAs<A>::type...>(); }
};

// ---- the functions of this program ----

/// An entry of the program's function table.
struct RegisteredFunction {
  std::string (*name)() = nullptr;       // for display
  std::string (*signature)() = nullptr;  // "long(long,double)"
  ByteBuffer (*invoke)(std::string_view payload) = nullptr;
};

/// Adds a function to the table and returns its index. Called by static initialisers only.
std::uint32_t register_function(const RegisteredFunction& function);
/// A copy of the table; complete once static initialisation is over.
std::vector<RegisteredFunction> registered_functions();

/// Using the index of a call makes the compiler emit `registered`, whose initialiser runs before main in
/// every process of the program, runners included. The function-local static serves callers during static
/// initialisation, before that initialiser has run.
template <class C>
struct Registration {
  static std::uint32_t index() {
    static const std::uint32_t value = register_function({&C::name, &C::signature, &C::invoke});
    return value;
  }
  static const std::uint32_t registered;
};
template <class C>
const std::uint32_t Registration<C>::registered = Registration<C>::index();

template <class C>
std::uint32_t index_of_call() {
  // Reads through the address, so that the optimiser cannot drop the variable and its initialiser.
  static_cast<void>(*static_cast<const volatile std::uint32_t*>(&Registration<C>::registered));
  return Registration<C>::index();
}

/// The index of function F, or of the captureless lambda type L, in registered_functions().
template <auto F>
std::uint32_t function_index() {
  return index_of_call<Call<F>>();
}
template <class L>
std::uint32_t function_index() {
  return index_of_call<LambdaCall<L>>();
}

}  // namespace detail
}  // namespace weft
