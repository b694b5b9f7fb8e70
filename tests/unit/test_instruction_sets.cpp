// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

#include "common/runner/instruction_sets.hpp"

namespace weft::runner {

namespace {
std::string_view set_of(std::initializer_list<unsigned char> bytes) {
  std::vector<unsigned char> code(bytes);
  code.resize(15, 0x90);
  return instruction_set_of(code);
}
}  // namespace

TEST_SUITE("instruction sets") {
  TEST_CASE("an instruction says what it belongs to") {
    CHECK(set_of({0x62, 0xf1, 0xfd, 0x48, 0x58, 0xc1}) == "AVX-512");  // vaddpd zmm
    CHECK(set_of({0xc5, 0xf5, 0x58, 0xc2}) == "AVX");                  // vaddpd ymm
    CHECK(set_of({0xc4, 0xe2, 0x7d, 0x58, 0xc0}) == "AVX2");           // vpbroadcastd
    CHECK(set_of({0xc4, 0xe2, 0xf5, 0x98, 0xc2}) == "FMA");            // vfmadd132pd
    CHECK(set_of({0xc4, 0xe2, 0xfb, 0xf7, 0xc0}) == "BMI2");           // shrx
    CHECK(set_of({0xf3, 0x48, 0x0f, 0xb8, 0xc7}) == "POPCNT");
    CHECK(set_of({0x66, 0x0f, 0x38, 0x40, 0xc1}) == "SSE4");   // pmulld
    CHECK(set_of({0x66, 0x0f, 0x38, 0x00, 0xc1}) == "SSSE3");  // pshufb
  }

  TEST_CASE("a trap of the program's own is none") {
    CHECK(set_of({0x0f, 0x0b}).empty());        // ud2
    CHECK(set_of({0x0f, 0xb9, 0xc0}).empty());  // ud1
    CHECK(instruction_set_of(std::vector<unsigned char>{0xc4}).empty());
  }
}

}  // namespace weft::runner
