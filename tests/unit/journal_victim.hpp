// SPDX-License-Identifier: MIT
// Shared by weft_journal_victim and its test.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

inline std::string blob_content(std::uint64_t number) {
  return std::to_string(number) + std::string(100'000, static_cast<char>('a' + number % 26));
}

}  // namespace weft::broker
