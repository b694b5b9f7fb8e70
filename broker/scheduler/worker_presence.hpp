// SPDX-License-Identifier: MIT
// WorkerPresence: workers join, hold, drain, lose their connection and leave, and what becomes of their tasks
// then. Changes Worker::state. PROTOCOL.md sections 2 and 4.
//
//   joining --READY--> ready --DRAINING--> draining
//      ^                 |                    |
//      +--HELLO-- lost <-+--------------------+   lost for gone_grace, or without a heartbeat: removed
#pragma once

#include <cstdint>
#include <string>

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/retries.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class WorkerPresence {
 public:
  /// Whether a loss is charged to the tasks that were running.
  enum class Blame : std::uint8_t { running, nobody };  // nobody: the worker left on purpose

  WorkerPresence(const Settings& settings, Tables& tables, Lifecycle& lifecycle, Retries& retries)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle), retries_(retries) {}

  /// The worker has said HELLO: welcomes it. REQUIRES: the worker has no connection, and no other worker has
  /// its name.
  void join(const Received& event, const wire::HelloWorker& hello);
  /// A heartbeat may begin or end a hold: its hold fields limit the credit of the worker.
  void take_heartbeat(Worker& worker, const wire::Heartbeat& beat);
  /// The worker takes no new tasks, and leaves when it has none left.
  void drain(Worker& worker);

  /// The worker's connection is gone. It may come back within gone_grace, before its tasks are given to
  /// others.
  void lose_connection(Worker& worker, const std::string& why);
  /// The timer of lose_connection() is due.
  void on_gone_timer(const Uuid& incarnation);
  /// After a stall of this process: the gone_grace of all lost workers starts again.
  void renew_grace();
  /// The worker is gone for good: its tasks are given to others. Destroys `worker`.
  void lose(Worker& worker, const std::string& why, Blame blame = Blame::running);

 private:
  void set_hold(Worker& worker, const wire::Heartbeat& beat);

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  Retries& retries_;
};

}  // namespace weft::broker
