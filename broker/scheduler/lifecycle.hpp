// SPDX-License-Identifier: MIT
// Lifecycle: the states of a task, from its arrival to its one final answer. PROTOCOL.md section 3 draws the
// states; TaskState lists them. Every change of Task::state and Task::worker is here.
//
// Invariants:
//   1. A task is in exactly one list, and that list fits its state.
//   2. An attempt number is given out once.
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

  /// Adds a task to the session, in no list yet. REQUIRES: the session has no task of this number.
  Task& add(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload);
  /// Starts the task's queue_timeout, if it has one, of which `waited_ms` have passed already.
  void start_queue_timeout(Task& task, std::uint64_t waited_ms) {
    if (task.spec->content.queue_timeout_ms > 0) arm_queue_timeout(task, waited_ms);
  }
  /// The task is over: takes it out of its list and its worker, and destroys it. May destroy its spec.
  void erase(Task& task);

  // ---- waiting ----

  /// Puts the task into its ready queue, or refuses and erases it if this broker cannot run its spec.
  void queue(Task& task);
  /// Puts the task back into its ready queue, at once or after `delay`.
  void requeue(Task& task, Duration delay);
  /// Has the task wait until the end of the adoption window for a worker that claims it.
  void await_claim(Task& task);
  /// Has a detached task wait until the task itself, or its result, is in the journal.
  void await_journal(Task& task);
  /// Unbinds the task from its worker, or takes it out of its list. REQUIRES: the caller puts it elsewhere at
  /// once.
  void leave_place(Task& task);

  // ---- with a worker ----

  /// Binds the task to the worker under a new attempt number.
  void assign(Task& task, Worker& worker);
  /// Binds the task to the worker under the attempt that the worker claims.
  void adopt(Task& task, Worker& worker, const wire::ClaimRecord& claim);
  /// Unbinds the task from its worker. REQUIRES: the caller puts it elsewhere at once.
  void unbind(Task& task);
  /// The worker says that the current attempt has started.
  void note_started(Task& task);
  /// Unbinds the task from its worker, which has been told to stop the attempt: it becomes a zombie attempt.
  void abandon_attempt(Task& task);
  /// Tells the task's worker to stop the attempt, or to return it if it has not started.
  void revoke(const Task& task, wire::RevokeMode mode);

  // ---- answers ----

  /// Gives the task its final answer: to its client, or to the journal first. REQUIRES: the caller then
  /// erases the task or has it stopped.
  void answer(Task& task, wire::Outcome outcome, wire::Payload payload);
  /// Answers and erases every task in the queue.
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  /// Answers the task with the reason why it cannot be run, and erases it.
  void refuse(Task& task, const std::string& reason);
  /// An attempt has succeeded. If it is not the current one, the current attempt is stopped.
  void complete(Task& task, bool current, const wire::Payload& result);
  /// The client has cancelled the task. A task that has a worker is erased when that worker has stopped it.
  void cancel(Task& task);
  /// Answers the task as cancelled; again, for a client that lost this answer.
  void answer_cancelled(Task& task);
  /// The queue_timeout is over: answers the task with the reason why it waited, and erases it.
  void fail_unschedulable(Task& task);

  /// Final answers so far.
  std::uint64_t finished() const { return finished_; }
  /// Aborts if a task is in a list that does not fit its state, or a worker's resources do not add up.
  void check_invariants() const;

 private:
  void arm_queue_timeout(Task& task, std::uint64_t waited_ms);
  void stop_or_erase(Task& task);
  void bind(Task& task, Worker& worker, const wire::Attempt& attempt, TaskState state);

  const Settings& settings_;
  Tables& tables_;
  std::uint64_t next_attempt_ = 1;
  std::uint64_t finished_ = 0;
};

}  // namespace weft::broker
