// SPDX-License-Identifier: MIT
// Indirect: a value on the heap, with value semantics (C++26: std::indirect). Makes a large alternative of a
// variant as small as a pointer, since a variant is as large as its largest alternative.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft {

template <class T>
class Indirect {
 public:
  template <class U>
  requires(!std::same_as<std::remove_cvref_t<U>, Indirect> && std::constructible_from<T, U>)
      Indirect(U&& value)
      : value_(std::make_unique<T>(std::forward<U>(value))) {}
  Indirect(const Indirect& other) : value_(std::make_unique<T>(*other)) {}
  Indirect(Indirect&&) noexcept = default;  // moved-from: may only be assigned or destroyed
  Indirect& operator=(Indirect other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~Indirect() = default;

  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  friend bool operator==(const Indirect& a, const Indirect& b) { return *a == *b; }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace weft
