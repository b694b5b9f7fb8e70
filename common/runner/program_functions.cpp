// SPDX-License-Identifier: MIT
#include "common/runner/program_functions.hpp"

#include <cstdio>

namespace weft {

std::string definition_of(const detail::RegisteredFunction& function, std::string_view object,
                          std::uintptr_t offset) {
  constexpr std::size_t kSignatureBytesMax = 800;  // not truncated in a runner's HELLO
  char digits[20];
  std::snprintf(digits, sizeof digits, "+%lx ", static_cast<unsigned long>(offset));
  return std::string(object) + digits + function.signature().substr(0, kSignatureBytesMax);
}

}  // namespace weft
