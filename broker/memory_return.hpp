// SPDX-License-Identifier: MIT
// MemoryReturn decides when memory that a burst has left free is returned to the system: in a quiet period,
// because the next burst takes returned memory again with a page fault for each page.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "common/base/time.hpp"

namespace weft::broker {

class MemoryReturn {
 public:
  static constexpr std::size_t kBurst = 1 << 20;  // bytes moved before returning memory is worth it
  static constexpr std::size_t kQuiet = 1 << 20;  // a period with fewer bytes moved is quiet
  static constexpr Duration kPeriod = std::chrono::seconds(2);
  static constexpr Duration kPause = std::chrono::seconds(10);  // least time between two returns

  /// Counts `bytes` of frames that were received or sent.
  void moved(std::size_t bytes) { in_period_ += bytes; }

  /// When to call due() next; nullopt: not before more bytes are moved.
  std::optional<Time> deadline() const {
    if (before_ + in_period_ < kBurst) return std::nullopt;
    return period_ends_;
  }

  /// Whether to return the memory now.
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
  std::size_t before_ = 0;  // bytes moved since memory was last returned, without this period
  Time period_ends_{};
  std::optional<Time> given_;
};

}  // namespace weft::broker
