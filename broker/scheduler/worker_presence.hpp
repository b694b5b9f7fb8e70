// SPDX-License-Identifier: MIT
// WorkerPresence: workers join, hold, drain, lose their connection and leave; and what becomes of their tasks
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
  enum class Blame : std::uint8_t { running, nobody };  // nobody: it left by its own will

  WorkerPresence(const Settings& settings, Tables& tables, Lifecycle& lifecycle, Retries& retries)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle), retries_(retries) {}

  /// The worker has said HELLO: welcomes it. REQUIRES: it has no connection, and no other
  /// worker has its name.
  void join(const Received& event, const wire::HelloWorker& hello);
  /// It may begin or end to hold: from now on its credit is what the heartbeat says.
  void take_heartbeat(Worker& worker, const wire::Heartbeat& beat);
  /// It takes nothing new, and leaves when it has nothing left.
  void drain(Worker& worker);

  /// Its connection is gone. It has a moment to come back before its tasks go elsewhere.
  void lose_connection(Worker& worker, const std::string& why);
  /// The timer of lose_connection() is due.
  void on_gone_timer(const Uuid& incarnation);
  /// After this process stood still: those whose connection is gone have their moment again.
  void renew_grace();
  /// It is gone for good: its tasks go elsewhere. Ends its life.
  void lose(Worker& worker, const std::string& why, Blame blame = Blame::running);

 private:
  void set_hold(Worker& worker, const wire::Heartbeat& beat);

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  Retries& retries_;
};

}  // namespace weft::broker
