// SPDX-License-Identifier: MIT
// Descriptions of fields and enumerators. Layout<T> (layout.hpp) lists the fields of a record and
// Enumeration<E> (enumerations.hpp) the values of an enumeration. Encoding, decoding, describing and the
// tables of PROTOCOL.md are all derived from them, so that they cannot disagree.
//
// How a record grows: a record is an array whose first fields are required. All other fields are optional:
// each has a default (that of the struct) and the minor version that added it. New fields are only ever
// appended.
//   - A writer omits optional fields at the end that have their default.
//   - A reader gives missing fields their default, and skips fields that it does not know.
//   - An *ignorable* field may be skipped without harm.
//   - An *essential* field changes what the record asks for: a peer that does not know the field is never
//     sent a value other than its default.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace weft::wire {

template <class T>
struct Layout;
template <class E>
struct Enumeration;

/// A value type that is encoded as an array of its fields.
template <class T>
concept HasLayout = requires {
  Layout<T>::fields;
};
/// A message whose head is followed by any number of records.
template <class T>
concept Batch = HasLayout<T> && requires {
  Layout<T>::records;
};
/// A batch whose records are numbered from its field `first`.
template <class T>
concept NumberedBatch = Batch<T> && requires(T t) {
  t.first;
};
/// A record that the broker forwards, together with the fields that the broker does not know: the tail.
template <class T>
concept Forwarded = HasLayout<T> && requires {
  Layout<T>::forwarded;
};

/// A record that never grows, so that no field of it can be lost when it is part of a forwarded record.
template <class T>
concept Closed = HasLayout<T> && requires {
  Layout<T>::closed;
};

enum class Weight : std::uint8_t { ignorable, essential };

template <class T, class M>
struct Field {
  using Type = M;

  std::string_view name;
  M T::*member;
  std::string_view unit = "";
  std::string_view meaning = "";
  bool is_optional = false;
  std::uint8_t since = 0;  // minor version
  Weight weight = Weight::ignorable;

  constexpr Field in(std::string_view what) const {
    Field field = *this;
    field.unit = what;
    return field;
  }
  constexpr Field means(std::string_view text) const {
    Field field = *this;
    field.meaning = text;
    return field;
  }
  /// Exists since minor 0, and is omitted when it has its default.
  constexpr Field optional() const { return added(0, Weight::ignorable); }
  /// Exists since `minor`.
  constexpr Field added(std::uint8_t minor, Weight how) const {
    Field field = *this;
    field.is_optional = true;
    field.since = minor;
    field.weight = how;
    return field;
  }
};

template <class T, class M>
constexpr Field<T, M> field(std::string_view name, M T::*member) {
  return {.name = name, .member = member};
}

// For use inside a Layout: declares its type and name; then WEFT_FIELD(member) for each field.
#define WEFT_LAYOUT(Type) \
  using Record = Type;    \
  static constexpr std::string_view name = #Type
#define WEFT_FIELD(member) ::weft::wire::field(#member, &Record::member)

struct Enumerator {
  std::string_view name;
  std::string_view meaning = "";
};

template <class T>
inline constexpr std::size_t kFieldCount =
    std::tuple_size_v<std::remove_const_t<decltype(Layout<std::remove_const_t<T>>::fields)>>;

/// Calls f(field) with the descriptions of T's fields in wire order.
template <class T, class F>
constexpr void for_each_description(F&& f) {
  std::apply([&](const auto&... field) { (f(field), ...); }, Layout<T>::fields);
}

/// Calls f(member) for each field of `value` in wire order.
template <class T, class F>
constexpr void for_each_field(T& value, F&& f) {
  for_each_description<std::remove_const_t<T>>([&](const auto& field) { f(value.*field.member); });
}

/// The number of fields of T that a peer of version `minor` knows.
template <class T>
constexpr std::size_t fields_known(std::uint8_t minor) {
  std::size_t count = 0;
  for_each_description<T>([&](const auto& field) { count += field.since <= minor; });
  return count;
}

template <class T>
constexpr std::size_t count_required() {
  std::size_t count = 0;
  for_each_description<T>([&](const auto& field) { count += !field.is_optional; });
  return count;
}
template <class T>
inline constexpr std::size_t kRequiredFields = count_required<std::remove_const_t<T>>();

/// Whether required fields come first, and optional ones in the order in which they were added.
template <class T>
constexpr bool is_ordered() {
  bool ordered = true;
  bool optional = false;
  std::uint8_t since = 0;
  for_each_description<T>([&](const auto& field) {
    ordered = ordered && field.is_optional >= optional && field.since >= since;
    optional = field.is_optional;
    since = field.since;
  });
  return ordered;
}

/// The number of an enumeration's known values, which are 0, 1, 2 ...; anything else is E::unknown.
template <class E>
constexpr std::uint8_t known_values() {
  return static_cast<std::uint8_t>(Enumeration<E>::values.size());
}

}  // namespace weft::wire
