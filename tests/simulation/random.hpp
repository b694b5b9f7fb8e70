// SPDX-License-Identifier: MIT
// Random: the only source of chance in a simulated world; every stream derives from the seed. It yields the
// same numbers on every machine, which <random>'s distributions do not promise.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/base/check.hpp"
#include "common/base/time.hpp"
#include "weft/ids.hpp"

namespace weft::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}

  /// splitmix64.
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 .. n - 1.
  std::uint64_t below(std::uint64_t n) {
    WEFT_CHECK(n > 0);
    return next() % n;
  }
  /// low .. high, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }
  /// 0 .. 1.
  double fraction() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  Duration duration(Duration low, Duration high) {
    return low +
           Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>((high - low).count()) + 1)));
  }
  template <std::size_t N>
  OpaqueId<N> id() {
    OpaqueId<N> id;
    for (std::size_t at = 0; at < N; at += 8) {
      const std::uint64_t word = next();
      std::memcpy(id.bytes.data() + at, &word, 8);
    }
    return id;
  }
  /// Another stream, so that one more draw in one place does not change every other place.
  Random fork() { return Random(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace weft::sim
