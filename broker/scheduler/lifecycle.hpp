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

  /// Creates a task, in no list yet. REQUIRES: the session has no task of this number.
  Task& add(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload);
  /// Starts the task's queue_timeout, if it has one, of which `waited_ms` have passed already.
  void start_queue_timeout(Task& task, std::uint64_t waited_ms) {
    if (task.spec->content.queue_timeout_ms > 0) arm_queue_timeout(task, waited_ms);
  }
  /// The task is over: removes it from its list and worker, and destroys it. May destroy its spec too.
  void erase(Task& task);

  // ---- waiting ----

  /// Puts the task into its ready queue.
  void queue(Task& task);
  /// Puts the task back into its ready queue, at once or after `delay`.
  void requeue(Task& task, Duration delay);
  /// The task waits until the end of the adoption window: a worker may claim it.
  void await_claim(Task& task);
  /// The task is detached and waits until the journal has it, or its result.
  void await_journal(Task& task);
  /// Removes the task from its worker or list. REQUIRES: the caller gives it its next place at once.
  void leave_place(Task& task);

  // ---- with a worker ----

  /// Binds the task to the worker under a new attempt number.
  void assign(Task& task, Worker& worker);
  /// Binds the task to the worker that claims to have it, under the attempt of the claim.
  void adopt(Task& task, Worker& worker, const wire::ClaimRecord& claim);
  /// Removes the task from its worker. REQUIRES: the caller gives it its next place at once.
  void unbind(Task& task);
  /// The worker says that the current attempt has started.
  void note_started(Task& task);
  /// Unbinds the task from its worker, which has been told to stop the attempt: it becomes a zombie attempt.
  void abandon_attempt(Task& task);
  /// Tells the task's worker to stop the attempt, or to give it back.
  void revoke(const Task& task, wire::RevokeMode mode);

  // ---- answers ----

  /// Sends the final answer to the client, or to the journal first if the task is detached. The task stays:
  /// the caller erases it or has its attempt stopped.
  void answer(Task& task, wire::Outcome outcome, wire::Payload payload);
  /// Answers and erases every task in the queue.
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  /// Answers the task with the reason why it cannot be run, and erases it.
  void refuse(Task& task, const std::string& reason);
  /// An attempt succeeded. If it was not the current one, the current one is stopped.
  void complete(Task& task, bool current, const wire::Payload& result);
  /// The client cancels the task. If a worker has it, the task is erased when the worker has stopped it.
  void cancel(Task& task);
  /// Sends the final answer of a cancelled task again, to a client that lost it.
  void answer_cancelled(Task& task);
  /// The queue_timeout of the task is over: answers it with the reason why it waited, and erases it.
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
