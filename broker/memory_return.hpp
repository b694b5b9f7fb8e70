// SPDX-License-Identifier: MIT
// MemoryReturn decides when memory freed after a burst is returned to the system: once traffic is quiet,
// since the next burst must fault returned memory in again, page by page.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "common/base/time.hpp"

namespace weft::broker {

class MemoryReturn {
 public:
  static constexpr std::size_t kBurst = 1 << 20;  // bytes moved from which a return is worthwhile
  static constexpr std::size_t kQuiet = 1 << 20;  // a period with fewer bytes moved is quiet
  static constexpr Duration kPeriod = std::chrono::seconds(2);
  static constexpr Duration kPause = std::chrono::seconds(10);  // at least, between two returns

  /// Counts `bytes` of frames that were received or sent.
  void moved(std::size_t bytes) { in_period_ += bytes; }

  /// When due() should be asked next; nullopt: not until more bytes have moved.
  std::optional<Time> deadline() const {
    if (before_ + in_period_ < kBurst) return std::nullopt;
    return period_ends_;
  }

  /// Whether free memory should be returned now; true at most once per burst.
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
  std::size_t before_ = 0;  // bytes moved since the last return, before this period
  Time period_ends_{};
  std::optional<Time> given_;
};

}  // namespace weft::broker
