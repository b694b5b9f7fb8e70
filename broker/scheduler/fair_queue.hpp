// SPDX-License-Identifier: MIT
// FairQueue: fair queueing of all clients' ready queues; FairTurns says which client gets the next slot. A
// client waits for a turn while it has queued tasks, may start some, and is not too far behind with fetching
// its results (backpressure).
#pragma once

#include <cstddef>

#include "broker/scheduler/eligibility.hpp"
#include "broker/scheduler/fair_turns.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"

namespace weft::broker {

class FairQueue {
 public:
  FairQueue(const Settings& settings, const Roster& roster, const Eligibility& eligibility)
      : settings_(settings),
        roster_(roster),
        eligibility_(eligibility),
        turns_(static_cast<double>(settings.quantum.count())) {}

  // ---- clients ----

  void add(Session& session) { turns_.join(session.turn, session, session.serial); }
  /// Call when the session's queued tasks, state or waiting results have changed: decides whether it waits
  /// for a turn.
  void update(Session& session);
  /// Backpressure: when this many bytes of results wait for one client, no more of its tasks start.
  std::size_t backlog_max() const { return backlog_max_; }
  /// At the start of a step: divides the memory budget among the sessions.
  void update_backlog_max();
  /// Charges the client for `us` of slot time; negative: it was charged for more in advance.
  void charge(Session& session, double us) { turns_.charge(session.turn, us); }
  bool others_wait(const Session& session) const { return turns_.others_wait(session.turn); }

  // ---- tasks ----

  /// The queue of `session` for tasks of this placement. Lives as long as the session.
  static ReadyQueue& queue_for(Session& session, const Placement& placement);
  /// Puts a task into its ready queue, by its age. REQUIRES: the task is in no list.
  void push(Task& task);
  /// Takes a task out of its ready queue or other list, if it is in one. REQUIRES: the task has no worker.
  void remove(Task& task) {
    if (TaskList::is_in_any(task)) take_out(task);
  }
  /// A worker with less memory than all others has joined: moves the tasks whose arguments are too large for
  /// it to ReadyQueue::retries.
  void set_large_apart() const;

  // ---- a scheduling pass ----

  void begin_pass() { turns_.begin_pass(); }
  FairTurns::Next next() { return turns_.next(); }
  bool nobody_waits() const { return turns_.nobody_waits(); }
  /// The queue with the oldest task of the highest priority, among the queues that are not blocked in this
  /// pass; nullptr: there is none, and the client is not served again in this pass.
  ReadyQueue* best_queue(Session& session) const;
  /// No worker has room for a task of the queue, and room only shrinks within a pass.
  void block(ReadyQueue& queue) const { queue.blocked_in_pass = turns_.pass(); }
  void block_retries(ReadyQueue& queue) const { queue.retries_blocked_in_pass = turns_.pass(); }
  bool retries_blocked(const ReadyQueue& queue) const {
    return queue.retries_blocked_in_pass == turns_.pass();
  }

  void check_invariants() const;

 private:
  static bool may_start(const Session& session);
  void set_apart(Task& task) const;
  void take_out(Task& task);

  const Settings& settings_;
  const Roster& roster_;
  const Eligibility& eligibility_;
  FairTurns turns_;
  std::size_t backlog_max_ = 0;
};

}  // namespace weft::broker
