// SPDX-License-Identifier: MIT
// Adoption: after a restart of the broker, workers claim the attempts that an earlier broker gave them, and
// clients announce their open tasks again. This class stores the claims whose tasks have not been announced
// yet, the sessions that workers know and whose clients have not come, and the zombie attempts, which a
// worker still has and no task needs. Its rules are the tables B, D and E of PROTOCOL.md section 4.
#pragma once

#include <optional>
#include <unordered_map>

#include "broker/scheduler/delivery.hpp"
#include "broker/scheduler/placer.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Adoption {
 public:
  Adoption(const Settings& settings, const Roster& roster, Delivery& delivery, Placer& placer, Step& step)
      : settings_(settings), roster_(roster), delivery_(delivery), placer_(placer), step_(step) {}

  // ---- the window after the start, in which workers may claim ----

  void open_window();
  bool window_is_open() const { return step_.now() < window_ends_; }
  Time window_ends() const { return window_ends_; }

  // ---- sessions that workers know, and whose clients have not come ----

  /// Starts, or starts again, the time in which the session's client may say HELLO.
  void await_session(const Uuid& session);
  bool is_awaited(const Uuid& session) const { return awaited_sessions_.contains(session); }
  /// The timer of await_session() is due. True: its client has not come, and is no longer awaited.
  bool give_up(const Uuid& session);
  /// After this process was stopped for a while: every awaited session gets its whole time again.
  void renew_awaited();

  // ---- claims ----

  /// A worker claims a task that is unknown here, of a session that may still announce it. Of two claims of
  /// one task the later one is stored, and the other is rejected.
  void keep_claim(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);
  /// The claim for a task that is being announced, if there is one.
  std::optional<HeldClaim> take_claim(const TaskId& task);
  /// The worker has returned the attempt, or was told to release its result. The next two functions: the
  /// worker has left or claims again, and the session has ended.
  void forget_claim(const Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void forget_claims_of(const Worker& worker);
  void forget_claims_of(const Uuid& session);
  /// The session has announced all its tasks, so claims that are left belong to no task.
  void reject_claims_of(const Session& session);
  /// Tells the worker to stop the attempt, unless it is done.
  void reject(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);

  /// Whether the claimed attempt was not started, and the task was executed on another worker since, and
  /// charged.
  static bool is_stale(const Task& task, const wire::ClaimRecord& claim);
  /// Whether the claimed attempt is done and its failure would not count: that was counted already, or the
  /// attempt is older than the last. (A success counts whatever its attempt.)
  bool is_over(const Task& task, const wire::ClaimRecord& claim) const;
  /// The claim under which the task was adopted; its worker is nullptr if this broker assigned the task.
  static HeldClaim adopted_claim(const Task& task);
  /// Table E: whether, of two claims of one task, `one` is preferred to `other`. False if `other` is empty.
  static bool is_later(const HeldClaim& one, const HeldClaim& other);

  // ---- zombie attempts ----

  /// The worker was told to stop the attempt, or its task is not known yet: until the worker reports its end,
  /// the attempt takes a slot there.
  void add_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  /// The worker no longer has the attempt. Marks the session dirty, since its end may have waited for this.
  void remove_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void remove_zombies(Worker& worker);
  /// Whether some worker still has an attempt of the session that it was told to stop.
  bool has_zombies(const Session& session) const;

 private:
  const Settings& settings_;
  const Roster& roster_;
  Delivery& delivery_;
  Placer& placer_;
  Step& step_;
  Time window_ends_{};
  std::unordered_map<Uuid, Time> awaited_sessions_;  // until when
  std::unordered_map<TaskId, HeldClaim> claims_;     // of tasks that were not announced yet
};

}  // namespace weft::broker
