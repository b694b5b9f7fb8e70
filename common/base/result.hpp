// SPDX-License-Identifier: MIT
// Result<T>: a value or a Fault. Errors of a peer are data, never exceptions.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "common/base/check.hpp"

namespace weft {

/// The reason for a refusal, as a sentence that a user can act on.
struct Fault {
  std::string text;
  bool operator==(const Fault&) const = default;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Fault fault) : state_(std::in_place_index<1>, std::move(fault)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return value(); }
  const T& operator*() const& { return const_cast<Result*>(this)->value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &const_cast<Result*>(this)->value(); }

  const std::string& fault() const {
    WEFT_CHECK(state_.index() == 1);
    return std::get<1>(state_).text;
  }

 private:
  T& value() {
    WEFT_CHECK(state_.index() == 0);
    return std::get<0>(state_);
  }

  std::variant<T, Fault> state_;
};

}  // namespace weft
