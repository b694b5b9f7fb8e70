// SPDX-License-Identifier: MIT
// ValueReader for types without a default constructor: the value is made of what is read. A part of
// value_reader.hpp, which includes it.
#pragma once

#include "weft/detail/value_reader.hpp"

namespace weft::detail {

template <class T, class... M>
T ValueReader::make_aggregate(Types<M...>) {
  enter();
  array_of(sizeof...(M));
  T value{make<M>()...};  // braces guarantee the order of evaluation
  leave();
  return value;
}

template <class T, class... Part>
T ValueReader::make_product(Types<Part...>) {
  array_of(sizeof...(Part));
  return T{make<Part>()...};
}

template <class T, std::size_t... I>
T ValueReader::make_array(std::index_sequence<I...>) {
  array_of(sizeof...(I));
  return T{{(static_cast<void>(I), make<typename T::value_type>())...}};
}

template <class T, std::size_t I>
T ValueReader::make_variant(std::size_t index) {
  if constexpr (I + 1 < std::variant_size_v<T>) {
    if (index != I) return make_variant<T, I + 1>(index);
  }
  return T(std::in_place_index<I>, make<std::variant_alternative_t<I, T>>());
}

template <class T>
T ValueReader::make_adapted() {
  enter();
  auto wire = make<WireOf<T>>();
  leave();
  try {
    return adaptor<T>::from_wire(std::move(wire));
  } catch (const std::exception& error) {
    throw Error("the adaptor of " + type_name<T>() + " does not take it: " + error.what());
  }
}

template <class T>
T ValueReader::make() {
  require_travels<T>();
  if constexpr (shape_of<T> == Shape::adapted) {
    return make_adapted<T>();
  } else if constexpr (fills<T>()) {
    T value{};
    read(value);
    return value;
  } else if constexpr (shape_of<T> == Shape::aggregate) {
    return make_aggregate<T>(typename Description<T>::Parts{});
  } else if constexpr (shape_of<T> == Shape::product) {
    return make_product<T>(typename Description<T>::Parts{});
  } else if constexpr (shape_of<T> == Shape::fixed) {
    return make_array<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (shape_of<T> == Shape::variant) {
    return make_variant<T>(alternative<T>());
  }
}

}  // namespace weft::detail
