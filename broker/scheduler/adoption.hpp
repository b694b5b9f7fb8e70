// SPDX-License-Identifier: MIT
// Adoption: after a restart of the broker workers claim what an earlier broker gave them, and clients
// announce their open tasks again. This class keeps the claims whose task has not been announced yet, the
// sessions that workers have something of and whose clients have not come, and the zombie attempts: those
// that a worker still has and no task needs. Its static functions are the tables B, D and E of PROTOCOL.md
// section 4.
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

  // ---- sessions that workers have something of, and whose clients have not come ----

  /// The client has a while to say HELLO.
  void await_session(const Uuid& session);
  bool is_awaited(const Uuid& session) const { return awaited_sessions_.contains(session); }
  /// The timer of await_session() is due. True: its client has not come, and will not be waited for.
  bool give_up(const Uuid& session);
  /// After this process stood still: every awaited session has its whole time again.
  void renew_awaited();

  // ---- claims ----

  /// A worker claims a task that is not known, of a session that may still announce it. Of two claims of one
  /// task the later one is kept, and the other is rejected.
  void keep_claim(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);
  /// The claim for a task that is being announced, if there is one.
  std::optional<HeldClaim> take_claim(const TaskId& task);
  /// The worker has given the attempt back, or has nothing of the session any more, or has left.
  void forget_claim(const Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void forget_claims_of(const Worker& worker);
  void forget_claims_of(const Uuid& session);
  /// The session has announced all its tasks: the claims that are left are for none of them.
  void reject_claims_of(const Session& session);
  /// Tells the worker to stop the attempt, unless it is done.
  void reject(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);

  /// An attempt that was not started, of a task that was executed elsewhere since, and charged for it.
  static bool is_stale(const Task& task, const wire::ClaimRecord& claim);
  /// An attempt that is done and whose failure would not count: it was counted already, or is of an attempt
  /// before the last. (A success counts whatever its attempt.)
  bool is_over(const Task& task, const wire::ClaimRecord& claim) const;
  /// The claim under which the task was adopted; its worker is nullptr if this broker assigned the task.
  static HeldClaim adopted_claim(const Task& task);
  /// Table E: which of two claims of one task is to be adopted.
  static bool is_later(const HeldClaim& one, const HeldClaim& other);

  // ---- zombie attempts ----

  /// The worker was told to stop the attempt, or no task stands for it yet: until it says that it has
  /// stopped, the attempt takes a slot there.
  void add_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  /// The worker does not have it any more. A session that had ended but for it is over.
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
  std::unordered_map<TaskId, HeldClaim> claims_;     // for tasks that were not announced yet
};

}  // namespace weft::broker
