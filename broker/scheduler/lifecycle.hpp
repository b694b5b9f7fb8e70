// SPDX-License-Identifier: MIT
// Lifecycle: the states of a task, from its arrival to its one final answer, and what a failed attempt costs.
// PROTOCOL.md section 3 draws the states; TaskState lists them. Every change of Task::state and
// Task::worker is here.
//
// Invariants:
//   1. A task is in exactly one list, and that list fits its state.
//   2. An attempt number is given out once; the failure of any but the current attempt costs nothing.
//   3. A task is answered by exactly one final delivery, unless its session has ended.
#pragma once

#include <cstdint>
#include <string>

#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Lifecycle {
 public:
  Lifecycle(const Settings& settings, Tables& tables) : settings_(settings), tables_(tables) {}

  // ---- arrival ----

  Task& add(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload);
  /// Starts its queue_timeout, if it has one, of which `waited_ms` have passed.
  void start_queue_timeout(Task& task, std::uint64_t waited_ms) {
    if (task.spec->content.queue_timeout_ms > 0) arm_queue_timeout(task, waited_ms);
  }
  /// The task was answered here, and an attempt of it is being stopped; its client does not have the answer.
  void reopen(Task& task, const wire::ReannounceRecord& record);
  void erase(Task& task);

  // ---- waiting ----

  /// Into its ready queue.
  void queue(Task& task);
  /// Back into its ready queue, at once or after `delay`.
  void requeue(Task& task, Duration delay);
  /// Its worker does not run it, and it is not charged. An earlier broker may have given an adopted attempt
  /// to another worker later, which has until the end of the adoption window to claim it.
  void put_back(Task& task);
  /// Until the end of the adoption window a worker may claim it.
  void await_claim(Task& task);
  /// It is detached: it, or its result, is on the way into the journal.
  void await_journal(Task& task);
  /// It is announced again, and no worker has claimed it so far.
  void start_unclaimed(Task& task);
  /// No worker claims it. If an earlier broker may have started it, and it may start only once, it is over.
  void start_again(Task& task);

  // ---- with a worker ----

  /// This broker gives it to the worker: a new attempt.
  void assign(Task& task, Worker& worker);
  /// The worker has it, as it claims.
  void adopt(Task& task, Worker& worker, const wire::ClaimRecord& claim);
  void unbind(Task& task);
  /// The worker says that the current attempt has started.
  void note_started(Task& task);
  /// The task goes on without its worker, which has been told to stop the attempt.
  void abandon_attempt(Task& task);
  void revoke(const Task& task, wire::RevokeMode mode);

  // ---- failures ----

  /// The current attempt ended otherwise than in success.
  void take_failure(Worker& worker, Task& task, const wire::ResultRecord& record);
  /// The result of the current attempt is one that was taken before: its client lost it and has announced the
  /// task again, and then the worker claimed it as done. The task is executed again.
  void take_result_again(Task& task);
  /// Another attempt of the task failed. It is charged only if an earlier broker had charged it and the
  /// charge is lost.
  void take_lost_failure(const Worker& worker, Task& task, const wire::Attempt& attempt,
                         const wire::ResultRecord& record);
  /// The worker of the task is lost. `how`: for the error, if the task fails.
  void take_loss(Task& task, const std::string& how);
  /// The client of a detached task was told of charges that the journal does not have. A worker may already
  /// have forgotten those failures, so they are journaled now. If they reach its limit, the task is
  /// answered.
  void take_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record);

  // ---- answers ----

  void answer(Task& task, wire::Outcome outcome, wire::Payload payload);
  /// Answers and erases every task in the queue.
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  void refuse(Task& task, const std::string& reason);
  /// An attempt succeeded, the current one or another: then the current one is stopped, if there is one.
  void complete(Task& task, bool current, const wire::Payload& result);
  void cancel(Task& task);
  void answer_cancelled(Task& task);
  void fail_unschedulable(Task& task);

  /// Final answers so far.
  std::uint64_t finished() const { return finished_; }
  void check_invariants() const;

 private:
  bool journal_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record);
  void arm_queue_timeout(Task& task, std::uint64_t waited_ms);
  bool may_be_elsewhere(const Task& task) const;
  void leave_place(Task& task);
  void stop_or_erase(Task& task);
  void bind(Task& task, Worker& worker, const wire::Attempt& attempt, TaskState state);
  void take_executed_failure(const Worker& worker, Task& task, const wire::ResultRecord& record);
  void take_refused_start(Worker& worker, Task& task, const wire::ResultRecord& record);
  void charge(Task& task, wire::Outcome outcome, wire::Payload error);
  void charge_unknown_start(Task& task);
  static bool is_last(const Task& task, wire::Outcome outcome);
  void count(Task& task, wire::Outcome outcome, wire::Payload error);
  void fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error);

  const Settings& settings_;
  Tables& tables_;
  std::uint64_t next_attempt_ = 1;
  std::uint64_t finished_ = 0;
};

}  // namespace weft::broker
