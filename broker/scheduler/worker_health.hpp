// SPDX-License-Identifier: MIT
// WorkerHealth: finds workers on which most attempts fail while few fail elsewhere (a full disk, other
// libraries), and keeps new tasks away from them for a while, which doubles each time.
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
  /// An attempt failed, crashed or timed out. True: it is time for find_bad().
  bool note_failure(Worker& worker);

  /// The workers that are to be avoided and are not yet. Looks at all workers.
  std::vector<Bad> find_bad() const;
  /// From now on until end_avoidance() the worker gets only what no other worker could run. Logs it.
  void avoid(const Bad& bad);
  /// The timer of avoid() is due. False: the worker has been avoided again since.
  bool end_avoidance(Worker& worker) const;
  /// REQUIRES: it is avoided.
  std::string why_avoided(const Worker& worker) const;

 private:
  const Settings& settings_;
  const Roster& roster_;
  Step& step_;
  Time next_check_{};
};

}  // namespace weft::broker
