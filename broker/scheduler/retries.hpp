// SPDX-License-Identifier: MIT
// Retries: whether and when a task is executed again after an attempt failed, was returned, or was lost with
// its worker or with an earlier broker. A failure is charged to the limits of the task (retries,
// crash_limit); at the limit, the failure becomes its answer. PROTOCOL.md section 3.
//
// Invariants:
//   1. Only the failure of the current attempt is charged, except failures that an earlier broker had charged
//      and whose charge is lost.
//   2. An execution is charged once, even if its worker is thought to be lost and comes back.
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

  /// The task's worker does not run it: queues it again without a charge. An earlier broker may have given an
  /// adopted task to another worker later, which has until the end of the adoption window to claim it.
  void put_back(Task& task);
  /// The task is announced again, and no worker has claimed it so far: waits for a claim, or starts it again.
  void start_unclaimed(Task& task);
  /// No worker claims the task: queues it again. If it may start only once, it is charged as a crash, since
  /// an earlier broker may have started it.
  void start_again(Task& task);
  /// The client announces again a task that was answered here and whose attempt is being stopped, because it
  /// did not get the answer: the task starts over without that attempt.
  void reopen(Task& task, const wire::ReannounceRecord& record);
  /// The result of the current attempt was taken before: its client lost it and has announced the task again,
  /// and then the worker claimed the attempt as done. The task is executed again.
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
  /// The client of a detached task may know of charges that the journal does not have. Workers may have
  /// dropped those failures already, so the charges are journaled now. At its limit, the task is answered.
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
