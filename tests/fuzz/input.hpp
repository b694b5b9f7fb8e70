// SPDX-License-Identifier: MIT
// The bytes of one fuzzing run, read as small decisions. After their end every decision is 0, so that a
// shorter input is a shorter sequence with the same beginning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.hpp"

namespace weft::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  bool empty() const { return left_ == 0; }

  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  /// 0 .. n - 1. REQUIRES: 0 < n <= 256.
  std::size_t below(std::size_t n) { return byte() % n; }
  /// True for one in `n` values of the byte; never after the end of the input.
  bool one_in(std::size_t n) { return below(n) == n - 1; }

  /// Usually small, so that ids coincide; sometimes near the limits of arithmetic.
  std::uint64_t number() {
    const std::uint8_t first = byte();
    if (first < 0xe0) return first % 8;
    switch (first % 8) {
      case 0:
        return UINT64_MAX;
      case 1:
        return INT64_MAX;
      case 2:
        return UINT32_MAX;
      case 3:
        return INT64_MAX / 1000;
      case 4:
        return std::uint64_t{1} << below(64);
      default:
        return (std::uint64_t{byte()} << 8) | byte();
    }
  }

  /// One of a few words, so that names coincide.
  std::string text() { return std::string(below(5), static_cast<char>('a' + below(3))); }

  std::string_view rest() {
    const std::string_view all(reinterpret_cast<const char*>(data_), left_);
    left_ = 0;
    return all;
  }

  template <class T>
  T& pick(std::vector<T>& from) {
    WEFT_CHECK(!from.empty());
    return from[(std::size_t{byte()} << 8 | byte()) % from.size()];
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

/// With WEFT_TRACE set, prints one line of the story; `text` makes it.
template <class Text>
void trace(Text text) {
  static const bool kOn = std::getenv("WEFT_TRACE") != nullptr;
  if (kOn) std::fprintf(stderr, "%s\n", text().c_str());
}

}  // namespace weft::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
