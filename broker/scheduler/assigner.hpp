// SPDX-License-Identifier: MIT
// Assigner: the scheduling pass at the end of a step. Clients take turns (fair queueing, FairQueue); within a
// client the oldest task of the highest priority goes first, to the worker that Placer chooses. Tasks that no
// worker can ever run are refused here. PROTOCOL.md section 6.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "broker/scheduler/lifecycle.hpp"

namespace weft::broker {

class Assigner {
 public:
  Assigner(const Settings& settings, Tables& tables, Lifecycle& lifecycle)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle) {}

  /// Assigns all tasks that can be assigned, and sends the assignments. When no task waits, moves prefetched
  /// tasks to idle workers (rebalancing).
  void run_pass();
  /// Finds workers where nearly everything fails, and takes back their tasks that have not started.
  void avoid_bad_workers();

  /// Aborts if a task was assigned but not sent.
  void check_invariants() const;

 private:
  void serve(Session& session, double used_us_max);
  std::pair<Task*, Worker*> next_of(ReadyQueue& queue);
  std::pair<Task*, Worker*> next_retry(ReadyQueue& queue);
  double assign(Task& task, Worker& worker);
  void flush_assignments();
  void rebalance();
  void refuse_too_new(ReadyQueue& queue, std::uint8_t minor);
  void fail_refused(ReadyQueue& queue, const Refusal& latest);
  void refuse_too_large(ReadyQueue& queue);

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  std::vector<Worker*> assigned_to_;  // in this pass
};

}  // namespace weft::broker
