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

  /// A task of the session, in no list yet. REQUIRES: the session has none of this number.
  Task& add(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload);
  /// Starts its queue_timeout, if it has one, of which `waited_ms` have passed.
  void start_queue_timeout(Task& task, std::uint64_t waited_ms) {
    if (task.spec->content.queue_timeout_ms > 0) arm_queue_timeout(task, waited_ms);
  }
  /// The task is over: away from wherever it is, and gone. May end the life of its spec.
  void erase(Task& task);

  // ---- waiting ----

  /// Into its ready queue.
  void queue(Task& task);
  /// Back into its ready queue, at once or after `delay`.
  void requeue(Task& task, Duration delay);
  /// Until the end of the adoption window a worker may claim it.
  void await_claim(Task& task);
  /// It is detached: it, or its result, is on the way into the journal.
  void await_journal(Task& task);
  /// Away from its worker, or out of its queue. REQUIRES: it goes somewhere else at once.
  void leave_place(Task& task);

  // ---- with a worker ----

  /// This broker gives it to the worker: a new attempt.
  void assign(Task& task, Worker& worker);
  /// The worker has it, as it claims.
  void adopt(Task& task, Worker& worker, const wire::ClaimRecord& claim);
  /// Away from its worker. REQUIRES: it goes somewhere else at once.
  void unbind(Task& task);
  /// The worker says that the current attempt has started.
  void note_started(Task& task);
  /// The task goes on without its worker, which has been told to stop the attempt.
  void abandon_attempt(Task& task);
  /// Tells its worker to stop the attempt, or to give it back.
  void revoke(const Task& task, wire::RevokeMode mode);

  // ---- answers ----

  /// Its final answer: to its client, or to the journal first. The task stays; erase() or a stop follows.
  void answer(Task& task, wire::Outcome outcome, wire::Payload payload);
  /// Answers and erases every task in the queue.
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  /// Answers it with the reason why it cannot be run, and erases it.
  void refuse(Task& task, const std::string& reason);
  /// An attempt succeeded, the current one or another: then the current one is stopped, if there is one.
  void complete(Task& task, bool current, const wire::Payload& result);
  /// Its client does not want it any more. If a worker has it, the task goes when that has stopped it.
  void cancel(Task& task);
  /// Its final answer again, for a client that lost it.
  void answer_cancelled(Task& task);
  /// Its queue_timeout is over: answers it with what it waited for, and erases it.
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
