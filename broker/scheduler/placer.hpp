// SPDX-License-Identifier: MIT
// Placer: chooses the worker for a task. Files the workers that may be given more under their load, sets how
// many tasks each may hold (its credit), and finds tasks that should move to an idle worker (rebalancing).
// PROTOCOL.md section 6.
#pragma once

#include <unordered_map>
#include <vector>

#include "broker/scheduler/eligibility.hpp"
#include "broker/scheduler/load_index.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Placer {
 public:
  Placer(const Settings& settings, const Roster& roster, const Eligibility& eligibility, Step& step)
      : settings_(settings), roster_(roster), eligibility_(eligibility), step_(step) {}

  // ---- load ----

  /// Recomputes the credit of a worker (flow control): how many slots its running and waiting tasks may take.
  /// Long tasks are not prefetched, so that the next one goes to the worker that is idle first; short tasks
  /// are, to hide the round trip.
  void update_credit(Worker& worker) const;
  /// The worker's load, credit or state has changed: files it under its load, or takes it out of the index
  /// when it may get no tasks.
  void update(Worker& worker);
  bool none_open() const { return open_.empty(); }
  /// A client submits while tasks of another client wait. Prefetched tasks would run before those of the new
  /// client, so workers get less credit for a while.
  void note_competition() { shared_until_ = step_.now() + settings_.shared_memory; }

  // ---- choice ----

  /// The most idle worker that can take a task of `queue` now, preferred ones first; nullptr: none.
  Worker* choose(ReadyQueue& queue) const;
  /// The same for a task in `queue.retries`, which some workers must not or should not get.
  Worker* choose_for_retry(ReadyQueue& queue, const Task& task) const;
  /// An open worker that could take a task of this placement at once; nullptr: none.
  const Worker* open_worker_for(const Placement& placement) const;

  // ---- failures of single tasks ----

  /// An attempt of the task failed on this worker: its next attempt goes elsewhere if it can.
  void note_failed_on(Task& task, const Worker& worker);
  bool failed_on(const Task& task, const Worker& worker) const;
  /// Forgets where a task has failed. Call when the task is erased.
  void forget(const Task& task) {
    if (task.failed) failed_on_.erase(TaskId{task.session->id, task.seq});
  }

  // ---- rebalancing ----

  /// Rebalancing (work stealing): tasks that wait behind others on one worker while another worker that could
  /// run them is idle. A task that has waited for less than five times Settings::prefetch is about to start,
  /// and stays. REQUIRES: no client waits for slots.
  std::vector<const Task*> take_rebalance();
  /// The timer that take_rebalance() started is due.
  void on_rebalance_timer() { rebalance_planned_ = false; }

  void check_invariants() const;

 private:
  static bool has_room(const Worker& worker);
  Worker* choose_among(const std::vector<Worker*>& candidates, const Placement& placement) const;
  Worker* choose_wide(const Placement& placement) const;
  std::size_t idle_slots() const;
  bool has_idle_worker_for(const Task& task) const;

  const Settings& settings_;
  const Roster& roster_;
  const Eligibility& eligibility_;
  Step& step_;
  LoadIndex<&Worker::open> open_;   // workers that have room
  std::size_t oversubscribed_ = 0;  // workers whose tasks need more slots than they have
  Time shared_until_{};             // until then, clients compete
  Time rebalance_due_{};            // no rebalancing before
  bool rebalance_planned_ = false;
  std::unordered_map<TaskId, std::vector<std::uint64_t>> failed_on_;  // workers, by Worker::serial
};

}  // namespace weft::broker
