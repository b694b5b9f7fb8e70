// SPDX-License-Identifier: MIT
#include "broker/scheduler/assigner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

void Assigner::run_pass() {
  tables_.fair_queue.begin_pass();
  while (!tables_.placer.none_open()) {
    const FairTurns::Next next = tables_.fair_queue.next();
    if (next.turn == nullptr) break;
    serve(*next.turn->session, next.until_us);
  }
  flush_assignments();
  if (tables_.fair_queue.nobody_waits()) rebalance();
}

/// Assigns tasks of `session` until it has used slot time up to `used_us_max`, or no worker can take any of
/// its tasks.
void Assigner::serve(Session& session, double used_us_max) {
  double used_us = 0;
  while (session.turn.waits && !tables_.placer.none_open() && session.turn.used_us + used_us <= used_us_max) {
    ReadyQueue* const queue = tables_.fair_queue.best_queue(session);
    if (queue == nullptr) break;
    if (const auto [task, worker] = next_of(*queue); task != nullptr) {
      used_us += assign(*task, *worker);
    } else {
      tables_.fair_queue.block(*queue);
      if (const auto minor = tables_.eligibility.too_old_for(*queue->placement)) {
        refuse_too_new(*queue, *minor);
      } else if (const Refusal* latest = tables_.eligibility.refused_everywhere(*queue->placement)) {
        fail_refused(*queue, *latest);
      } else if (!queue->retries.empty()) {
        refuse_too_large(*queue);
      }
    }
  }
  if (used_us > 0) tables_.fair_queue.charge(session, used_us);
}

/// The next task of `queue` and a worker for it, or two nulls if no worker has a free slot for one.
std::pair<Task*, Worker*> Assigner::next_of(ReadyQueue& queue) {
  const bool retry_first = !queue.retries.empty() && queue.front() == queue.retries.front();
  if (retry_first) {
    if (const auto next = next_retry(queue); next.first != nullptr) return next;
  }
  if (Worker* worker = queue.tasks.empty() ? nullptr : tables_.placer.choose(queue))
    return {queue.tasks.front(), worker};
  return retry_first || queue.retries.empty() ? std::pair<Task*, Worker*>() : next_retry(queue);
}

std::pair<Task*, Worker*> Assigner::next_retry(ReadyQueue& queue) {
  constexpr int kLookedAt = 16;  // others may be waiting for the same worker
  if (tables_.fair_queue.retries_blocked(queue)) return {};
  Task* task = queue.retries.front();
  for (int i = 0; i < kLookedAt && task != nullptr; ++i, task = TaskList::after(*task)) {
    if (Worker* worker = tables_.placer.choose_for_retry(queue, *task)) return {task, worker};
  }
  tables_.fair_queue.block_retries(queue);
  return {};
}

/// Refuses the tasks of `queue`: workers of protocol `minor` would silently ignore one of their options.
void Assigner::refuse_too_new(ReadyQueue& queue, std::uint8_t minor) {
  while (Task* task = queue.front()) {
    const auto requirement = wire::required_beyond(task->spec->content, minor);
    WEFT_CHECK(requirement.has_value());
    lifecycle_.refuse(
        *task, fmt::format("its option `{}` needs a worker that speaks protocol {}.{}, and the workers that "
                           "could run it speak {}.{}: start newer ones, or leave the option out",
                           requirement->field, wire::kMajor, requirement->minor, wire::kMajor, minor));
  }
}

/// Fails every task in `queue` with the reason. A reason older than cannot_start_memory may be outdated: then
/// the program is tried on all workers again.
void Assigner::fail_refused(ReadyQueue& queue, const Refusal& latest) {
  if (tables_.step.now() - latest.at >= settings_.cannot_start_memory) {
    tables_.eligibility.forget_refusals(queue.placement->program);
    queue.blocked_in_pass = 0;
    return;
  }
  lifecycle_.answer_all(queue, wire::Outcome::cannot_start, wire::Payload(latest.reason));
}

/// Returns the slot time, in microseconds, for which the session is charged in advance.
double Assigner::assign(Task& task, Worker& worker) {
  Session& session = *task.session;
  tables_.specs.send_to(worker, session, *task.spec);
  lifecycle_.assign(task, worker);
  task.charged_us = static_cast<std::uint32_t>(std::min(session.average_us * task.spec->slots, 1e9));

  wire::Assign& outgoing = worker.outgoing;
  if (!outgoing.tasks.empty() && outgoing.session != session.id) {
    tables_.step.send(worker.peer, std::exchange(outgoing, {}));
  }
  if (outgoing.tasks.empty()) assigned_to_.push_back(&worker);
  outgoing.session = session.id;
  outgoing.tasks.push_back(
      {task.seq, task.attempt.number, task.spec->number, task.execution(), task.crashes > 0, task.payload});
  return task.charged_us;
}

void Assigner::flush_assignments() {
  for (Worker* worker : assigned_to_) {
    if (!worker->outgoing.tasks.empty()) tables_.step.send(worker->peer, std::exchange(worker->outgoing, {}));
  }
  assigned_to_.clear();
}

/// Rebalancing, when no task is queued: takes back prefetched tasks of busy workers while others are idle.
void Assigner::rebalance() {
  for (const Task* task : tables_.placer.take_rebalance())
    lifecycle_.revoke(*task, wire::RevokeMode::retract);
}

void Assigner::avoid_bad_workers() {
  for (const WorkerHealth::Bad& bad : tables_.health.find_bad()) {
    tables_.health.avoid(bad);
    tables_.placer.update(*bad.worker);
    for (const Task* task = bad.worker->tasks.front(); task != nullptr; task = TaskList::after(*task)) {
      if (task->state == TaskState::assigned) lifecycle_.revoke(*task, wire::RevokeMode::retract);
    }
  }
}

void Assigner::check_invariants() const {
  for (const auto& [id, worker] : tables_.roster.workers()) WEFT_CHECK(worker->outgoing.tasks.empty());
}

// ---- large arguments ----

/// Refuses the tasks in `queue.retries` whose argument is larger than the memory of every worker, and those
/// whose program starts on no worker with enough memory. Checked after workers or tasks came or went, or the
/// program did not start on a worker (ReadyQueue::sized_for).
void Assigner::refuse_too_large(ReadyQueue& queue) {
  if (queue.sized_for == tables_.eligibility.membership() || tables_.adoption.window_is_open()) return;
  queue.sized_for = tables_.eligibility.membership();
  for (Task* next = queue.retries.front(); next != nullptr;) {
    Task& task = *next;
    next = TaskList::after(task);
    if (!tables_.eligibility.is_large(task)) continue;
    if (const std::string refusal = tables_.eligibility.why_too_large(task); !refusal.empty()) {
      lifecycle_.refuse(task, refusal);
    } else if (const Refusal* latest = tables_.eligibility.refused_everywhere(*queue.placement, &task);
               latest != nullptr && tables_.step.now() - latest->at < settings_.cannot_start_memory) {
      lifecycle_.answer(task, wire::Outcome::cannot_start, latest->reason);
      lifecycle_.erase(task);
    }
  }
}

}  // namespace weft::broker
