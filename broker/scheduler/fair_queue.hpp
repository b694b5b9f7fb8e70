// SPDX-License-Identifier: MIT
// FairQueue: the ready queues of all clients, and which client gets the next slot (fair queueing, FairTurns).
// A client waits for a turn while it has queued tasks, may start some, and has fewer than backlog_max() bytes
// of results to fetch.
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
  /// The session's queued tasks, its state or its waiting results have changed: decides whether it waits for
  /// a turn.
  void update(Session& session);
  /// Backpressure: while more bytes of results than this wait for a client, none of its tasks start.
  std::size_t backlog_max() const { return backlog_max_; }
  /// At the start of a step: divides the memory budget among the sessions.
  void update_backlog_max();
  /// The client has used `us` of slot time; negative: it was charged for more in advance.
  void charge(Session& session, double us) { turns_.charge(session.turn, us); }
  bool others_wait(const Session& session) const { return turns_.others_wait(session.turn); }

  // ---- tasks ----

  /// The queue of `session` for tasks of this placement. Lives as long as the session.
  static ReadyQueue& queue_for(Session& session, const Placement& placement);
  /// Inserts the task into its ready queue, by its age. REQUIRES: the task is in no list.
  void push(Task& task);
  /// Removes the task from its ready queue or other list. REQUIRES: no worker has the task.
  void remove(Task& task) {
    if (TaskList::is_in_any(task)) take_out(task);
  }
  /// A worker with less memory than all others has joined: moves the tasks whose arguments are too large for
  /// that worker to ReadyQueue::retries.
  void set_large_apart() const;

  // ---- a scheduling pass ----

  void begin_pass() { turns_.begin_pass(); }
  FairTurns::Next next() { return turns_.next(); }
  bool nobody_waits() const { return turns_.nobody_waits(); }
  /// The queue with the oldest task of the highest priority, among the queues that are not blocked in this
  /// pass; nullptr: none, and the client is blocked for the rest of the pass.
  ReadyQueue* best_queue(Session& session) const;
  /// No worker has a free slot for a task of the queue: skips it for the rest of the pass, in which free
  /// slots only become fewer.
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
