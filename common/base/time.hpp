// SPDX-License-Identifier: MIT
// Time in the pure state machines: microseconds, passed in by the shell or the simulator. Nothing here reads
// a clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "weft/detail/duration.hpp"

namespace weft {

using Duration = std::chrono::microseconds;

/// The monotonic clock of one process; its zero is arbitrary.
struct TimeLine {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<TimeLine, Duration>;
  static constexpr bool is_steady = true;
};
using Time = TimeLine::time_point;

/// Converts milliseconds chosen by a peer, capped at kForever, so that they can be added to any time.
inline Duration milliseconds_of(std::uint64_t ms) {
  return std::chrono::milliseconds(std::min<std::uint64_t>(ms, detail::kForever.count()));
}

/// The earlier of two deadlines, where nullopt means never.
inline std::optional<Time> earlier(std::optional<Time> a, std::optional<Time> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace weft
