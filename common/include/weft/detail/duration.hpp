// SPDX-License-Identifier: MIT
// bounded: a duration that a program or a command line gives, as one that can be added to any clock.
#pragma once

#include <chrono>

namespace weft::detail {

/// A century means "for ever". Each clock here can add it to the time of day without an overflow, which
/// milliseconds::max() cannot be.
inline constexpr std::chrono::milliseconds kForever = std::chrono::hours(100L * 365 * 24);

/// `time` in milliseconds, rounded up, between 0 (also for NaN) and kForever.
template <class Rep, class Period>
constexpr std::chrono::milliseconds bounded(std::chrono::duration<Rep, Period> time) {
  const std::chrono::duration<long double, std::milli> wanted = time;
  if (!(wanted.count() > 0)) return std::chrono::milliseconds(0);
  if (wanted >= kForever) return kForever;
  const std::chrono::milliseconds whole(static_cast<std::chrono::milliseconds::rep>(wanted.count()));
  return whole < wanted ? whole + std::chrono::milliseconds(1) : whole;
}

}  // namespace weft::detail
