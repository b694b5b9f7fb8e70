// SPDX-License-Identifier: MIT
// Retries: whether and when a task is executed again after an attempt ended without success, was given back,
// or was lost with its worker or with an earlier broker. Failures are charged against the limits of the task
// (retries, crash_limit); at a limit the failure becomes the task's answer. PROTOCOL.md section 3.
//
// Invariants:
//   1. The failure of any attempt but the current one is not charged, unless an earlier broker had charged it
//      and the charge is lost.
//   2. An execution is charged once, even if its worker is taken for lost and comes back.
//   3. A task that may start only once is not started again if it may have been started before.
#pragma once

#include <cstdint>
#include <string>

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Retries {
 public:
  Retries(const Settings& settings, Tables& tables, Lifecycle& lifecycle)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle) {}

  // ---- without a charge ----

  /// The worker of the task does not run it: queues it again without a charge. If an earlier broker may have
  /// given the task to another worker later, that worker first has the adoption window to claim it.
  void put_back(Task& task);
  /// The task is announced again, and no worker has claimed it so far.
  void start_unclaimed(Task& task);
  /// No worker claims the task: queues it. A task that may start only once fails instead if an earlier broker
  /// may have started it.
  void start_again(Task& task);
  /// Announced again: the task was answered and its attempt is being stopped, but its client does not have
  /// the answer.
  void reopen(Task& task, const wire::ReannounceRecord& record);
  /// The result of the current attempt was taken before. Its client lost it and has announced the task again,
  /// and then the worker claimed the attempt as done: the task is executed again.
  void take_result_again(Task& task);

  // ---- failures ----

  /// The current attempt ended without success.
  void take_failure(Worker& worker, Task& task, const wire::ResultRecord& record);
  /// Another attempt of the task failed. It is charged only if an earlier broker had charged it and the
  /// charge is lost.
  void take_lost_failure(const Worker& worker, Task& task, const wire::Attempt& attempt,
                         const wire::ResultRecord& record);
  /// The worker of the task is lost. `how`: for the error, if the task fails.
  void take_loss(Task& task, const std::string& how);
  /// The client of a detached task was told of charges that the journal does not have. They are journaled
  /// now, since a worker may have forgotten those failures. At a limit of the task they become its answer.
  void take_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record);

 private:
  bool may_be_elsewhere(const Task& task) const;
  void take_executed_failure(const Worker& worker, Task& task, const wire::ResultRecord& record);
  void take_refused_start(Worker& worker, Task& task, const wire::ResultRecord& record);
  void charge(Task& task, wire::Outcome outcome, wire::Payload error);
  void charge_unknown_start(Task& task);
  static bool is_last(const Task& task, wire::Outcome outcome);
  void count(Task& task, wire::Outcome outcome, wire::Payload error);
  void fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error);
  bool journal_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record);

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
};

}  // namespace weft::broker
