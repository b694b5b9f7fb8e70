// SPDX-License-Identifier: MIT
// Assigner: the scheduling pass at the end of a step. Clients take turns (FairQueue); within a client the
// highest priority and the oldest task goes first, to the worker that Placer chooses. What no worker can ever
// run is refused here. PROTOCOL.md section 6.
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

  /// Assigns whatever can be assigned, and sends it. When nothing waits, moves tasks to idle workers.
  void run_pass();
  /// Finds workers where nearly everything fails, and takes back what has not started there.
  void avoid_bad_workers();

  /// Nothing is assigned that is not sent.
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
