// SPDX-License-Identifier: MIT
// Pacing: the times that decide how much short work waits where, and how soon others hear of a result. They
// depend on each other, so they stand here together. A task that takes less than a few milliseconds would
// leave its slot idle for a round trip if each level sent only what runs now:
//
//     broker                       agent (weft-worker)                      runner
//       |  ASSIGN, kAssignedAhead     |  channel, kChannelAhead                |
//       |  of work for each slot      |  of work for each runner               |  runs one after the other
//       |---------------------------->|--------------------------------------->|
//       |                             |  STARTED after kStartNotice to         |
//       |                             |  kStartNoticeMax                       |
//       |<----------------------------|<---------------------------------------|
//       |  RESULTS, coalesced         |  woken every kAnnounceInterval, or     |
//       |                             |  when the runner is idle               |
//
// The times are long against a message (tens of microseconds) and short against what people notice. Settings
// of the cores take their defaults from here.
#pragma once

#include "common/base/time.hpp"

namespace weft {

struct Pacing {
  /// Of work that the broker assigns to each slot beyond the task that runs: a round trip of a busy broker.
  static constexpr Duration kAssignedAhead = std::chrono::milliseconds(4);
  /// While several clients compete, the broker assigns this part of it, so that a client that comes waits
  /// less.
  static constexpr unsigned kSharedPart = 8;
  /// Tasks that take longer wait where they can still go to another worker (broker) or runner (agent): for
  /// them a round trip costs less than one percent.
  static constexpr Duration kAheadTaskMax = std::chrono::milliseconds(20);

  /// Of work that the agent sends to a runner beyond the task that runs. Tasks in a channel must be taken
  /// back before another runner can have them.
  static constexpr Duration kChannelAhead = std::chrono::milliseconds(2);

  /// A runner with more to do wakes its agent for results no more often.
  static constexpr Duration kAnnounceInterval = std::chrono::milliseconds(2);
  /// How often the agent looks at what it cannot poll for: a runner that has closed its socket.
  static constexpr Duration kUnpollableInterval = std::chrono::milliseconds(2);

  /// STARTED is sent for a task that runs longer than this, or twice its estimate, but at the latest after
  /// the second.
  static constexpr Duration kStartNotice = std::chrono::milliseconds(2);
  static constexpr Duration kStartNoticeMax = std::chrono::milliseconds(10);
  /// When the page does not show the front task as started: look again.
  static constexpr Duration kStartRecheck = std::chrono::milliseconds(10);

  /// The weight of the newest task in a running average of run times.
  static constexpr double kNewestWeight = 1.0 / 32;

  // A worker's channels hold less than what the broker assigns ahead, so that its own queue, from which idle
  // runners take, is not empty.
  static_assert(kChannelAhead <= kAssignedAhead / 2);
  // Results of all that waits in a channel are announced before the broker runs out of credit.
  static_assert(kAnnounceInterval + kChannelAhead <= kAssignedAhead);
  // By then the runner's own announcement has come if the task has ended.
  static_assert(kStartNotice >= kAnnounceInterval);
  static_assert(kStartNotice <= kStartNoticeMax && kStartRecheck <= kStartNoticeMax);
  // A task that may wait behind another is reported as started before the one in front of it is late.
  static_assert(kStartNoticeMax <= kAheadTaskMax);
};

}  // namespace weft
