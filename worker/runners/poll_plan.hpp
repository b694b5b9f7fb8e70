// SPDX-License-Identifier: MIT
// PollPlan: which runners of a worker are checked in a turn of its loop, when their memory is measured, and
// when the next turn is due. Pure; owned by RunnerPool.
//
// A runner that is being polled sends no wake-ups, and is checked in every turn. Checking all runners takes a
// fraction of a microsecond for each, so it is done when the agent has waited in vain, and otherwise at most
// once per microsecond and runner: without that, a worker with many runners would check most of them in vain.
#pragma once

#include <optional>

#include "common/base/pacing.hpp"
#include "common/base/time.hpp"
#include "worker/runners/runner_monitor.hpp"

namespace weft::worker {

class PollPlan {
 public:
  static constexpr Duration kUnpollableInterval = Pacing::kUnpollableInterval;
  static constexpr Duration kMemoryInterval = std::chrono::milliseconds(100);

  /// A turn begins. `waited`: the wait before it has timed out.
  void begin_turn(Time now, bool waited, std::size_t runners) {
    all_ = waited || now - checked_at_ >= Duration(static_cast<std::int64_t>(runners));
    if (all_) checked_at_ = now;
  }
  /// Whether this runner is checked in this turn.
  bool checks(const RunnerMonitor& runner) const { return all_ || runner.is_due(); }

  /// A runner cannot wake us any more; such a runner is gone.
  void add_unpollable() { ++unpollable_; }
  void remove_unpollable() { --unpollable_; }

  /// Whether to measure the memory of runners now. `busy`: one of them has tasks.
  bool measures_memory(Time now, bool busy);

  /// When the next turn is due although no runner has woken us.
  std::optional<Time> deadline() const;

 private:
  Time checked_at_{};           // when all runners were last checked
  bool all_ = false;            // in this turn
  std::size_t unpollable_ = 0;  // runners that cannot wake us
  std::optional<Time> memory_due_;
};

}  // namespace weft::worker
