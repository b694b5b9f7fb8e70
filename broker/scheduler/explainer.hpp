// SPDX-License-Identifier: MIT
// Explainer: why a task is in its state, and what is wrong with queues and workers, for `weft why`, `weft
// status` and the log. Also the watchdog for workers without progress. Changes only the notes about workers.
#pragma once

#include <string>

#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Explainer {
 public:
  Explainer(const Settings& settings, Tables& tables)
      : settings_(settings), tables_(tables), next_log_(tables.step.now() + settings.explain_after) {}

  /// WHY: `text` is the id of a task, of which the session may be abbreviated.
  wire::Answer why(const std::string& text) const;
  /// Why the tasks in `queue` wait; "" when they only wait for a free slot.
  std::string why_waiting(const Session& session, const ReadyQueue& queue) const;
  /// Whether log_waiting() is due: every explain_after only, because it looks at all queues and workers.
  bool is_due() const { return tables_.step.now() >= next_log_; }
  /// The time from which is_due() holds.
  Time deadline() const { return next_log_; }
  /// Logs why tasks have been waiting, and notes which workers make no progress.
  void log_waiting();

 private:
  std::string why_here(const Session& session, const Task& task) const;
  std::string failed_where(const Task& task) const;
  void watch_worker(Worker& worker);

  const Settings& settings_;
  Tables& tables_;
  Time next_log_;
};

}  // namespace weft::broker
