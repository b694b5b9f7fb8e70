// SPDX-License-Identifier: MIT
// Conditions that tests check or wait for.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

namespace weft::support {

using namespace std::chrono_literals;

/// True as soon as `condition` is true, false if it is still false after `within`. Only a failing test waits
/// until the deadline, so `within` may be generous.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 10s);

/// Whether `part` occurs in `text`.
inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace weft::support
