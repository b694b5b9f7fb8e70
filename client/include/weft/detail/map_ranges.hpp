// SPDX-License-Identifier: MIT
// The arguments of map: ranges that are iterated together, values that are the same in every call, and
// compile-time errors for anything else.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/function.hpp"

namespace weft::detail {

template <class T>
inline constexpr bool kIsSame = false;
template <class T>
inline constexpr bool kIsSame<Same<T>> = true;

template <class R>
inline constexpr bool kIsEndless = false;
template <std::ranges::range R>
inline constexpr bool kIsEndless<R> = std::same_as<std::ranges::sentinel_t<R>, std::unreachable_sentinel_t>;

/// True if L is a lambda that submit and map accept; otherwise a compile-time error that says what to write
/// instead.
template <class L>
consteval bool is_shippable_lambda() {
  if constexpr (std::is_class_v<L> && std::is_empty_v<L> && std::default_initializable<L>) {
    return true;
  } else {
    constexpr bool pointer = std::is_pointer_v<L> || std::is_member_pointer_v<L>;
    static_assert(
        always_false<L> || !pointer,
        "weft: a function is named as a template argument: write submit<inc>(1), not submit(inc, 1)");
    static_assert(pointer || std::is_class_v<L>,
                  "weft: this is not a function: write submit<f>(arguments...), or pass a lambda without "
                  "captures first");
    static_assert(!std::is_class_v<L> || !is_standard<L>,
                  "weft: a std::function or std::bind does not say which function it holds: write "
                  "submit<f>(arguments...), or give a lambda without captures");
    constexpr bool lambda = pretty_argument(pretty_type<L>()).find("lambda") != std::string_view::npos;
    static_assert(!lambda, "weft: a lambda with captures cannot travel: pass captured values as arguments");
    static_assert(
        !std::is_class_v<L> || is_standard<L> || lambda,
        "weft: a function object with members cannot travel as a function: make it an argument of a "
        "function of your own");
    return false;
  }
}

template <class... Ranges>
consteval void require_mappable() {
  static_assert(((std::ranges::input_range<Ranges> || kIsSame<std::remove_cvref_t<Ranges>>)&&...),
                "weft: map takes ranges: wrap a value that is the same in every call in weft::same(value)");
  static_assert((!kIsSame<std::remove_cvref_t<Ranges>> || ...),
                "weft: map needs at least one range: for one call there is submit");
  static_assert((!kIsEndless<Ranges> && ...),
                "weft: map needs a range that ends: limit an endless one with std::views::take");
}

/// A range and a position in the range.
template <class R>
class Cursor {
 public:
  explicit Cursor(R& range) : at_(std::ranges::begin(range)), end_(std::ranges::end(range)) {
    if constexpr (std::ranges::sized_range<R>) size_ = static_cast<std::size_t>(std::ranges::size(range));
  }
  static constexpr bool kCounts = true;
  std::optional<std::size_t> size() const { return size_; }
  bool at_end() const { return at_ == end_; }
  decltype(auto) element() { return *at_; }
  void next() { ++at_; }

 private:
  std::ranges::iterator_t<R> at_;
  std::ranges::sentinel_t<R> end_;
  std::optional<std::size_t> size_;
};

template <class S>
requires kIsSame<std::remove_const_t<S>>
class Cursor<S> {
 public:
  explicit Cursor(S& same) : same_(same) {}
  static constexpr bool kCounts = false;  // does not determine the number of calls
  std::optional<std::size_t> size() const { return std::nullopt; }
  bool at_end() const { return false; }
  const auto& element() { return same_.value; }
  void next() {}

 private:
  S& same_;
};

/// The cursors of all arguments. REQUIRES: the ranges outlive the Cursors.
template <class... Ranges>
class Cursors {
 public:
  /// Throws std::invalid_argument if two known sizes differ.
  explicit Cursors(Ranges&... ranges) : cursors_(Cursor<Ranges>(ranges)...) {
    std::apply([this](const auto&... cursor) { (compare(cursor.size()), ...); }, cursors_);
  }

  /// The number of elements; 0 if no range has a size that is known in advance.
  std::size_t known_size() const { return size_.value_or(0); }
  /// Whether any range is at its end.
  bool at_end() const {
    return std::apply([](const auto&... cursor) { return (cursor.at_end() || ...); }, cursors_);
  }
  void next() {
    std::apply([](auto&... cursor) { (cursor.next(), ...); }, cursors_);
  }
  template <class F>
  void apply(F f) {
    std::apply([&](auto&... cursor) { f(cursor.element()...); }, cursors_);
  }
  /// Called when one range has ended after `count` elements: throws std::invalid_argument unless all have
  /// ended.
  void check_ends(std::size_t count) const {
    const bool all = std::apply(
        [](const auto&... cursor) { return ((!cursor.kCounts || cursor.at_end()) && ...); }, cursors_);
    if (all) return;
    throw std::invalid_argument("map: the ranges differ in length: one ends after " + std::to_string(count) +
                                " elements, another has more");
  }

 private:
  void compare(std::optional<std::size_t> size) {
    if (!size) return;
    if (size_ && *size_ != *size) {
      throw std::invalid_argument("map: the ranges differ in length: " + std::to_string(*size_) + " and " +
                                  std::to_string(*size));
    }
    size_ = size;
  }

  std::tuple<Cursor<Ranges>...> cursors_;
  std::optional<std::size_t> size_;
};

}  // namespace weft::detail
