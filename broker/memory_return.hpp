// SPDX-License-Identifier: MIT
// MemoryReturn decides when memory that a burst has left free goes back to the system: once it is quiet,
// since what is given back must be taken again, page by page, by the next burst.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "common/base/time.hpp"

namespace weft::broker {

class MemoryReturn {
 public:
  static constexpr std::size_t kBurst = 1 << 20;  // bytes that came and went, to be worth it
  static constexpr std::size_t kQuiet = 1 << 20;  // in a period, at most
  static constexpr Duration kPeriod = std::chrono::seconds(2);
  static constexpr Duration kPause = std::chrono::seconds(10);  // from one time to the next

  /// Bytes of frames that came in or went out.
  void moved(std::size_t bytes) { in_period_ += bytes; }

  /// When due() has something to decide; nullopt: not before more is moved.
  std::optional<Time> deadline() const {
    if (before_ + in_period_ < kBurst) return std::nullopt;
    return period_ends_;
  }

  /// Whether the memory goes back now.
  bool due(Time now) {
    if (now < period_ends_) return false;
    period_ends_ = now + kPeriod;
    const bool quiet = in_period_ < kQuiet;
    before_ += std::exchange(in_period_, 0);
    if (!quiet || before_ < kBurst || (given_ && now < *given_ + kPause)) return false;
    before_ = 0;
    given_ = now;
    return true;
  }

 private:
  std::size_t in_period_ = 0;
  std::size_t before_ = 0;  // moved since the memory was given back, before this period
  Time period_ends_{};
  std::optional<Time> given_;
};

}  // namespace weft::broker
