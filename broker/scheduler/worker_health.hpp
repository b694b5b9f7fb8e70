// SPDX-License-Identifier: MIT
// WorkerHealth: finds workers on which most attempts fail while few fail on other workers (a full disk, other
// libraries), and avoids them for new tasks for a time that doubles with each avoidance (back-off).
#pragma once

#include <string>
#include <vector>

#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class WorkerHealth {
 public:
  struct Bad {
    Worker* worker;
    double failed_elsewhere;  // share of the attempts on all other workers
  };

  WorkerHealth(const Settings& settings, const Roster& roster, Step& step)
      : settings_(settings), roster_(roster), step_(step) {}

  static void note_success(Worker& worker) { worker.outcomes.add(false); }
  /// An attempt failed, crashed or timed out. True: find_bad() should be called now.
  bool note_failure(Worker& worker);

  /// The workers that should be avoided and are not yet. Visits all workers.
  std::vector<Bad> find_bad() const;
  /// Until end_avoidance(), the worker gets only tasks that no other worker could run. Sends a notice.
  void avoid(const Bad& bad);
  /// The timer of avoid() is due. False: the worker has been avoided again since.
  bool end_avoidance(Worker& worker) const;
  /// A sentence for people. REQUIRES: the worker is avoided.
  std::string why_avoided(const Worker& worker) const;

 private:
  const Settings& settings_;
  const Roster& roster_;
  Step& step_;
  Time next_check_{};
};

}  // namespace weft::broker
