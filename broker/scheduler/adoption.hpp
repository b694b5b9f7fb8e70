// SPDX-License-Identifier: MIT
// Adoption: after a restart of the broker, workers claim the attempts that an earlier broker gave them, and
// clients announce their open tasks again. This class has the claims whose task has not been announced yet,
// the awaited sessions (of claims, without a client yet), and the zombie attempts: those that a worker still
// has and no task needs. Its static functions are the tables B, D and E of PROTOCOL.md section 4.
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

  // ---- awaited sessions: workers have tasks or results of them, and their clients have not come ----

  /// Starts a timer: until then the client may say HELLO.
  void await_session(const Uuid& session);
  bool is_awaited(const Uuid& session) const { return awaited_sessions_.contains(session); }
  /// The timer of await_session() is due. True: the client has not come; the session is no longer awaited.
  bool give_up(const Uuid& session);
  /// After a stall of this process: every awaited session gets its full time again.
  void renew_awaited();

  // ---- claims ----

  /// A worker claims an unknown task of a session that may still announce it. Of two claims of one task, the
  /// later one (is_later()) is stored and the other is rejected.
  void keep_claim(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);
  /// Removes and returns the claim for a task that is being announced, if there is one.
  std::optional<HeldClaim> take_claim(const TaskId& task);
  /// The worker has given the attempt back, or no longer has anything of the session, or has left.
  void forget_claim(const Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void forget_claims_of(const Worker& worker);
  void forget_claims_of(const Uuid& session);
  /// The session has announced all its tasks: rejects the remaining claims, which match no task.
  void reject_claims_of(const Session& session);
  /// Tells the worker to stop the attempt, unless it is done.
  void reject(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);

  /// The claim is of an attempt that was not started, and its task was since executed elsewhere and charged.
  static bool is_stale(const Task& task, const wire::ClaimRecord& claim);
  /// The attempt is done and its failure would not count, because it was counted already or a later attempt
  /// was made. (A success counts whatever its attempt.)
  bool is_over(const Task& task, const wire::ClaimRecord& claim) const;
  /// The claim under which the task was adopted; its worker is nullptr if this broker assigned the task.
  static HeldClaim adopted_claim(const Task& task);
  /// Table E: whether `one` is adopted rather than `other`, of two claims of one task.
  static bool is_later(const HeldClaim& one, const HeldClaim& other);

  // ---- zombie attempts ----

  /// The worker was told to stop the attempt, or no task stands for it yet: the attempt takes a slot until
  /// the worker reports that it has stopped.
  void add_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  /// The worker no longer has the attempt. Ends a session that was only waiting for it.
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
  std::unordered_map<Uuid, Time> awaited_sessions_;  // deadline of each
  std::unordered_map<TaskId, HeldClaim> claims_;     // for tasks that were not announced yet
};

}  // namespace weft::broker
