// SPDX-License-Identifier: MIT
// Box: a value on the heap, with value semantics (C++26: std::indirect). Keeps an object small: a variant
// that holds one is not as large as its largest alternative.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft {

template <class T>
class Box {
 public:
  template <class U>
  requires(!std::same_as<std::remove_cvref_t<U>, Box> && std::constructible_from<T, U>) Box(U&& value)
      : value_(std::make_unique<T>(std::forward<U>(value))) {}
  Box(const Box& other) : value_(std::make_unique<T>(*other)) {}
  Box(Box&&) noexcept = default;  // moved-from: may only be assigned or destroyed
  Box& operator=(Box other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~Box() = default;

  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  friend bool operator==(const Box& a, const Box& b) { return *a == *b; }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace weft
