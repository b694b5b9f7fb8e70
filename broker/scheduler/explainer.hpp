// SPDX-License-Identifier: MIT
// Explainer: why a task is where it is, and what is wrong with queues and workers, for `weft why`, `weft
// status` and the log. Changes nothing but notes about workers.
#pragma once

#include <string>

#include "broker/scheduler/fair_queue.hpp"
#include "broker/scheduler/journal_queue.hpp"
#include "broker/scheduler/placer.hpp"
#include "broker/scheduler/worker_health.hpp"

namespace weft::broker {

class Explainer {
 public:
  Explainer(const Settings& settings, const Roster& roster, const Eligibility& eligibility,
            const FairQueue& fair_queue, const Placer& placer, const WorkerHealth& health,
            const JournalQueue& journal_queue, Step& step)
      : settings_(settings),
        roster_(roster),
        eligibility_(eligibility),
        fair_queue_(fair_queue),
        placer_(placer),
        health_(health),
        journal_queue_(journal_queue),
        step_(step) {}

  /// WHY: `text` is the id of a task, of which the session may be abbreviated.
  wire::Answer why(const std::string& text) const;
  /// Why the tasks in `queue` wait; "" when they only wait for a free slot.
  std::string why_waiting(const Session& session, const ReadyQueue& queue) const;
  /// Logs what tasks have been waiting for, and notes which workers make no progress.
  void log_waiting();

 private:
  std::string why_here(const Session& session, const Task& task) const;
  std::string failed_where(const Task& task) const;
  void watch_worker(Worker& worker);

  const Settings& settings_;
  const Roster& roster_;
  const Eligibility& eligibility_;
  const FairQueue& fair_queue_;
  const Placer& placer_;
  const WorkerHealth& health_;
  const JournalQueue& journal_queue_;
  Step& step_;
};

}  // namespace weft::broker
