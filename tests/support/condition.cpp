// SPDX-License-Identifier: MIT
#include "tests/support/condition.hpp"

#include <thread>

namespace weft::support {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(1ms);  // poll interval
  }
  return true;
}

}  // namespace weft::support
