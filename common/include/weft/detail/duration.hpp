// SPDX-License-Identifier: MIT
// bounded: clamps a duration from a program or a command line, so that it can be added to any clock.
#pragma once

#include <chrono>

namespace weft::detail {

/// A century, meaning "for ever". It can be added to the time of any clock without overflow, unlike
/// milliseconds::max().
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
