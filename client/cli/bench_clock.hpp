// SPDX-License-Identifier: MIT
// Helpers of measurements: a clock, median, percentile.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace weft::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_of(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }
inline double seconds_since(Clock::time_point begin) { return seconds_of(Clock::now() - begin); }
inline double us_since(Clock::time_point begin) { return seconds_since(begin) * 1e6; }

/// The value below which the fraction `part` of the values lies; 0 if `values` is empty.
inline double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
}
inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

struct RoundTrip {
  double p50_us = 0;
  double p99_us = 0;
};
inline RoundTrip round_trip_of(const std::vector<double>& times_us) {
  return {percentile(times_us, 0.5), percentile(times_us, 0.99)};
}

}  // namespace weft::bench
