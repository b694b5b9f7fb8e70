// SPDX-License-Identifier: MIT
// Announcement: coalesces the wake-ups by which a runner announces results to its agent. Results are safe in
// the ring, and a wake-up for each would cost more than a short task. So the runner wakes the agent when it
// has nothing more to do, when the ring fills up, and every two milliseconds.
#pragma once

#include <cstdint>

#include "common/base/pacing.hpp"
#include "common/runner/runner_channel.hpp"

namespace weft::runner {

class Announcement {
 public:
  static constexpr std::int64_t kInterval_us = Pacing::kAnnounceInterval.count();

  /// The runner has nothing to do: it announces everything before it sleeps.
  void on_idle() { announced_us_ = 0; }
  /// Whether to wake the agent after a task that ended at `ended_us`.
  bool is_due(Channel& channel, std::int64_t ended_us, std::int64_t run_us) {
    if (ended_us - announced_us_ < kInterval_us && !channel.above_half()) return false;
    announced_us_ = ended_us;
    // An agent that has just read from this ring will check the ring again before it sleeps. So of a hundred
    // busy runners only one has to wake the agent.
    const bool just_now = channel.was_read() && run_us < kInterval_us;
    return !just_now || channel.above_half();
  }

 private:
  std::int64_t announced_us_ = 0;  // when results were last announced to the agent
};

}  // namespace weft::runner
