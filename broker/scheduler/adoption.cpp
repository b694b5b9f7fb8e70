// SPDX-License-Identifier: MIT
#include "broker/scheduler/adoption.hpp"

#include <algorithm>
#include <utility>

namespace weft::broker {

void Adoption::open_window() {
  window_ends_ = step_.now() + settings_.adoption_window;
  step_.start_timer(window_ends_, TimerKind::adoption, {});
}

// ---- awaited sessions ----

void Adoption::await_session(const Uuid& session) {
  Time& until = awaited_sessions_[session];
  until = step_.now() + settings_.adoption_window + settings_.patience(Session{}.give_up);
  step_.start_timer(until, TimerKind::awaited_session, session);
}

bool Adoption::give_up(const Uuid& session) {
  const auto found = awaited_sessions_.find(session);
  if (found == awaited_sessions_.end() || step_.now() < found->second) return false;
  awaited_sessions_.erase(found);
  return roster_.find_session(session) == nullptr;
}

void Adoption::renew_awaited() {
  for (const auto& [session, until] : awaited_sessions_) await_session(session);
}

// ---- claims ----

void Adoption::keep_claim(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim) {
  HeldClaim& kept = claims_[TaskId{session, claim.seq}];
  HeldClaim earlier{&worker, claim};
  if (kept.worker == nullptr || is_later(earlier, kept)) std::swap(kept, earlier);
  if (claim.state != wire::ClaimState::done) add_zombie(worker, {session, claim.seq}, claim.attempt);
  if (earlier.worker != nullptr) reject(*earlier.worker, session, earlier.claim);
}

std::optional<HeldClaim> Adoption::take_claim(const TaskId& task) {
  const auto found = claims_.find(task);
  if (found == claims_.end()) return std::nullopt;
  const HeldClaim claim = found->second;
  claims_.erase(found);
  return claim;
}

void Adoption::forget_claim(const Worker& worker, const TaskId& task, const wire::Attempt& attempt) {
  const auto found = claims_.find(task);
  if (found == claims_.end()) return;
  if (found->second.worker == &worker && found->second.claim.attempt == attempt) claims_.erase(found);
}

void Adoption::forget_claims_of(const Worker& worker) {
  std::erase_if(claims_, [&](const auto& entry) { return entry.second.worker == &worker; });
}

void Adoption::forget_claims_of(const Uuid& session) {
  std::erase_if(claims_, [&](const auto& entry) { return entry.first.session == session; });
}

void Adoption::reject_claims_of(const Session& session) {
  for (auto next = claims_.begin(); next != claims_.end();) {
    if (next->first.session != session.id) {
      ++next;
      continue;
    }
    const auto& [worker, claim] = next->second;
    reject(*worker, session.id, claim);
    next = claims_.erase(next);
  }
}

void Adoption::reject(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim) {
  if (claim.state == wire::ClaimState::done) return;
  add_zombie(worker, {session, claim.seq}, claim.attempt);
  step_.send(worker.peer, wire::Revoke{session, wire::RevokeMode::cancel, {{claim.seq, claim.attempt}}});
}

bool Adoption::is_stale(const Task& task, const wire::ClaimRecord& claim) {
  return claim.state == wire::ClaimState::queued && claim.execution < task.execution();
}

bool Adoption::is_over(const Task& task, const wire::ClaimRecord& claim) const {
  if (claim.state != wire::ClaimState::done) return false;
  if (claim.execution < task.execution()) return true;  // perhaps by an earlier broker
  if (task.attempt.number == 0) return false;
  if (task.attempt == claim.attempt) return task.answered;
  if (task.attempt.epoch == claim.attempt.epoch) return claim.attempt.number < task.attempt.number;
  return task.attempt.epoch == settings_.epoch;  // the claim is of an earlier broker
}

HeldClaim Adoption::adopted_claim(const Task& task) {
  if (!task.adopted.current) return {};
  auto state = task.state == TaskState::assigned ? wire::ClaimState::queued : wire::ClaimState::running;
  if (task.worker->executions->contains({TaskId{task.session->id, task.seq}, task.attempt}))
    state = wire::ClaimState::done;
  return {task.worker, {task.seq, task.attempt, state, task.adopted.execution}};
}

bool Adoption::is_later(const HeldClaim& one, const HeldClaim& other) {
  using enum wire::ClaimState;
  if (other.worker == nullptr) return false;
  const auto are = [&](wire::ClaimState a, wire::ClaimState b) {
    return one.claim.state == a && other.claim.state == b;
  };
  if (are(running, done) || are(done, running)) return one.claim.state == running;
  if (one.claim.attempt.epoch == other.claim.attempt.epoch)
    return one.claim.attempt.number > other.claim.attempt.number;
  if (one.claim.execution != other.claim.execution) return one.claim.execution > other.claim.execution;
  // A worker that was cut off during the whole life of one broker may have a queued attempt of an earlier
  // broker.
  if (one.claim.state != other.claim.state) return one.claim.state != queued;
  return one.worker == other.worker;  // a worker lists its claims in the order in which attempts ended
}

// ---- zombie attempts ----

void Adoption::add_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt) {
  worker.zombies.edit().insert({task, attempt});
  placer_.update(worker);
}

void Adoption::remove_zombie(Worker& worker, const TaskId& task, const wire::Attempt& attempt) {
  worker.zombies.erase({task, attempt});
  if (Session* session = roster_.find_session(task.session)) delivery_.mark_dirty(*session);
}

void Adoption::remove_zombies(Worker& worker) {
  while (!worker.zombies.empty()) {
    const auto [task, attempt] = *worker.zombies->begin();
    remove_zombie(worker, task, attempt);
  }
}

/// Before SYNCED no attempt was told to stop, and END_SESSION will stop them all.
bool Adoption::has_zombies(const Session& session) const {
  return session.synced &&
         std::any_of(roster_.workers().begin(), roster_.workers().end(), [&](const auto& entry) {
           const auto& zombies = entry.second->zombies;
           if (zombies.empty()) return false;
           const auto first = zombies->lower_bound({TaskId{session.id, 0}, {}});
           return first != zombies->end() && first->first.session == session.id;
         });
}

}  // namespace weft::broker
