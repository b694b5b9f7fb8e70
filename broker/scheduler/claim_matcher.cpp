// SPDX-License-Identifier: MIT
#include "broker/scheduler/claim_matcher.hpp"

#include <set>
#include <utility>

namespace weft::broker {

void ClaimMatcher::add(Worker& worker, const wire::Claims& claims) {
  if (worker.state != WorkerState::joining) return;
  auto& known = worker.claims[claims.session];
  known.insert(known.end(), claims.tasks.begin(), claims.tasks.end());
}

void ClaimMatcher::match(Worker& worker) {
  put_back_unclaimed(worker);
  const auto claims = std::move(worker.claims);
  worker.claims.clear();
  tables_.adoption.forget_claims_of(worker);  // it has claimed again what it still has
  for (const auto& [session, records] : claims) {
    worker.sessions.of(session);  // so that the worker is told when the session ends
    if (tables_.roster.find_session(session) == nullptr) tables_.adoption.await_session(session);
    for (const wire::ClaimRecord& record : records) {
      if (record.state == wire::ClaimState::unknown) {  // a state that only newer versions know
        tables_.adoption.reject(worker, session, record);
        continue;
      }
      if (record.state == wire::ClaimState::done)
        worker.executions.edit()[{TaskId{session, record.seq}, record.attempt}] = record.execution;
      match(worker, session, record);
    }
  }
}

/// Puts back the tasks that this broker assigned and the worker does not claim: their ASSIGN was lost with
/// the old connection. The worker may still have an earlier attempt of the same task.
void ClaimMatcher::put_back_unclaimed(Worker& worker) {
  std::set<std::pair<TaskId, wire::Attempt>> claimed;
  for (const auto& [session, claims] : worker.claims) {
    for (const wire::ClaimRecord& claim : claims) claimed.emplace(TaskId{session, claim.seq}, claim.attempt);
  }
  for (Task* task = worker.tasks.front(); task != nullptr;) {
    Task& current = *task;
    task = TaskList::after(current);
    if (claimed.contains({TaskId{current.session->id, current.seq}, current.attempt})) continue;
    if (current.state == TaskState::cancelling) {
      lifecycle_.erase(current);
    } else {
      retries_.put_back(current);
    }
  }
}

void ClaimMatcher::match(Worker& worker, const Uuid& session_id, const wire::ClaimRecord& claim) {
  Session* session = tables_.roster.find_session(session_id);
  Task* task = session != nullptr ? session->tasks.find(claim.seq) : nullptr;
  if (task == nullptr) {
    if (session == nullptr || !session->synced) {
      tables_.adoption.keep_claim(worker, session_id, claim);
    } else {
      tables_.adoption.reject(worker, session_id, claim);
    }
    return;
  }
  if (task->state == TaskState::saving) {  // answered, but the answer is not in the journal yet
    tables_.adoption.reject(worker, session_id, claim);
    return;
  }
  if (!task->with_worker()) {
    try_adopt(worker, *task, claim);
    return;
  }
  if (task->worker == &worker && task->attempt == claim.attempt) {
    if (task->state == TaskState::cancelling) {
      lifecycle_.revoke(*task, wire::RevokeMode::cancel);
    } else if (claim.state == wire::ClaimState::running && task->state == TaskState::assigned) {
      lifecycle_.note_started(*task);
    }
    return;
  }
  if (task->state == TaskState::cancelling) {  // its client has the answer: no attempt is needed
    tables_.adoption.reject(worker, session_id, claim);
    return;
  }
  if (const HeldClaim adopted = Adoption::adopted_claim(*task);
      Adoption::is_later({&worker, claim}, adopted)) {
    lifecycle_.unbind(*task);
    tables_.adoption.reject(*adopted.worker, session_id, adopted.claim);
    return lifecycle_.adopt(*task, worker, claim);
  }
  tables_.adoption.reject(worker, session_id, claim);  // another worker has the task by now
}

bool ClaimMatcher::try_adopt(Worker& worker, Task& task, const wire::ClaimRecord& claim) {
  if (Adoption::is_stale(task, claim)) {
    tables_.adoption.reject(worker, task.session->id, claim);
    return false;
  }
  if (tables_.adoption.is_over(task, claim)) return false;
  lifecycle_.adopt(task, worker, claim);
  return true;
}

}  // namespace weft::broker
