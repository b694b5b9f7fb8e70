// SPDX-License-Identifier: MIT
// Who gets what: clients in turn by slot time, within a client the highest priority and the oldest
// task, to the most idle worker that may run it. PROTOCOL.md section 6.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "broker/scheduler/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

void Scheduler::schedule() {
  fair_queue_.begin_pass();
  while (!placer_.none_open()) {
    const FairTurns::Next next = fair_queue_.next();
    if (next.turn == nullptr) break;
    serve(*next.turn->session, next.until_us);
  }
  flush_assignments();
  if (fair_queue_.nobody_waits()) rebalance();
}

/// Assigns tasks of `session` until it has used slot time up to `used_us_max`, or nothing of it can be
/// placed.
void Scheduler::serve(Session& session, double used_us_max) {
  double used_us = 0;
  while (session.turn.waits && !placer_.none_open() && session.turn.used_us + used_us <= used_us_max) {
    ReadyQueue* const queue = fair_queue_.best_queue(session);
    if (queue == nullptr) break;
    if (const auto [task, worker] = next_of(*queue); task != nullptr) {
      used_us += assign(*task, *worker);
    } else {
      fair_queue_.block(*queue);
      if (const auto minor = eligibility_.too_old_for(*queue->placement)) {
        refuse_too_new(*queue, *minor);
      } else if (const Refusal* latest = eligibility_.refused_everywhere(*queue->placement)) {
        fail_refused(*queue, *latest);
      } else if (!queue->retries.empty()) {
        refuse_too_large(*queue);
      }
    }
  }
  if (used_us > 0) fair_queue_.charge(session, used_us);
}

/// The next task of `queue` and a worker for it; two nulls: there is no room.
std::pair<Task*, Worker*> Scheduler::next_of(ReadyQueue& queue) {
  const bool retry_first = !queue.retries.empty() && queue.front() == queue.retries.front();
  if (retry_first) {
    if (const auto next = next_retry(queue); next.first != nullptr) return next;
  }
  if (Worker* worker = queue.tasks.empty() ? nullptr : placer_.choose(queue))
    return {queue.tasks.front(), worker};
  return retry_first || queue.retries.empty() ? std::pair<Task*, Worker*>() : next_retry(queue);
}

std::pair<Task*, Worker*> Scheduler::next_retry(ReadyQueue& queue) {
  constexpr int kLookedAt = 16;  // others may be waiting for the same worker
  if (fair_queue_.retries_blocked(queue)) return {};
  Task* task = queue.retries.front();
  for (int i = 0; i < kLookedAt && task != nullptr; ++i, task = TaskList::after(*task)) {
    if (Worker* worker = placer_.choose_for_retry(queue, *task)) return {task, worker};
  }
  fair_queue_.block_retries(queue);
  return {};
}

/// Workers of protocol `minor` would ignore an option of the tasks in `queue` without a word.
void Scheduler::refuse_too_new(ReadyQueue& queue, std::uint8_t minor) {
  while (Task* task = queue.front()) {
    const auto requirement = wire::required_beyond(task->spec->content, minor);
    WEFT_CHECK(requirement.has_value());
    lifecycle_.refuse(
        *task, fmt::format("its option `{}` needs a worker that speaks protocol {}.{}, and the workers that "
                           "could run it speak {}.{}: start newer ones, or leave the option out",
                           requirement->field, wire::kMajor, requirement->minor, wire::kMajor, minor));
  }
}

/// Tells each task the reason at once. A reason that is no longer fresh may no longer be true: then the
/// program is tried on all workers again.
void Scheduler::fail_refused(ReadyQueue& queue, const Refusal& latest) {
  if (step_.now() - latest.at >= settings_.cannot_start_memory) {
    eligibility_.forget_refusals(queue.placement->program);
    queue.blocked_in_pass = 0;
    return;
  }
  lifecycle_.answer_all(queue, wire::Outcome::cannot_start, wire::Payload(latest.reason));
}

/// Returns the slot time, in microseconds, that it is to be charged for in advance.
double Scheduler::assign(Task& task, Worker& worker) {
  Session& session = *task.session;
  specs_.send_to(worker, session, *task.spec);
  lifecycle_.assign(task, worker);
  task.charged_us = static_cast<std::uint32_t>(std::min(session.average_us * task.spec->slots, 1e9));

  wire::Assign& outgoing = worker.outgoing;
  if (!outgoing.tasks.empty() && outgoing.session != session.id) {
    step_.send(worker.peer, std::exchange(outgoing, {}));
  }
  if (outgoing.tasks.empty()) assigned_to_.push_back(&worker);
  outgoing.session = session.id;
  outgoing.tasks.push_back(
      {task.seq, task.attempt.number, task.spec->number, task.execution(), task.crashes > 0, task.payload});
  return task.charged_us;
}

void Scheduler::flush_assignments() {
  for (Worker* worker : assigned_to_) {
    if (!worker->outgoing.tasks.empty()) step_.send(worker->peer, std::exchange(worker->outgoing, {}));
  }
  assigned_to_.clear();
}

/// Nothing is queued: takes back tasks that wait behind others on one worker while another is idle.
void Scheduler::rebalance() {
  for (const Task* task : placer_.take_rebalance()) lifecycle_.revoke(*task, wire::RevokeMode::retract);
}

void Scheduler::avoid_bad_workers() {
  for (const WorkerHealth::Bad& bad : health_.find_bad()) {
    health_.avoid(bad);
    placer_.update(*bad.worker);
    for (const Task* task = bad.worker->tasks.front(); task != nullptr; task = TaskList::after(*task)) {
      if (task->state == TaskState::assigned) lifecycle_.revoke(*task, wire::RevokeMode::retract);
    }
  }
}

// ---- large arguments ----

/// Of the tasks that wait apart, since workers or tasks came or went, or the program did not start on one:
/// those whose argument is too large, and those whose program starts on no worker that has memory for it.
void Scheduler::refuse_too_large(ReadyQueue& queue) {
  if (queue.sized_for == eligibility_.membership() || adoption_.window_is_open()) return;
  queue.sized_for = eligibility_.membership();
  for (Task* next = queue.retries.front(); next != nullptr;) {
    Task& task = *next;
    next = TaskList::after(task);
    if (!eligibility_.is_large(task)) continue;
    if (const std::string refusal = eligibility_.why_too_large(task); !refusal.empty()) {
      lifecycle_.refuse(task, refusal);
    } else if (const Refusal* latest = eligibility_.refused_everywhere(*queue.placement, &task);
               latest != nullptr && step_.now() - latest->at < settings_.cannot_start_memory) {
      lifecycle_.answer(task, wire::Outcome::cannot_start, latest->reason);
      lifecycle_.erase(task);
    }
  }
}

// ---- for people ----

void Scheduler::explain_waiting() {
  next_explain_ = step_.now() + settings_.explain_after;
  for (auto& [id, worker] : roster_.workers()) watch_worker(*worker);
  for (auto& [id, session] : roster_.sessions()) {
    for (ReadyQueue* queue : session->order) {
      std::string reason;
      if (!queue->empty() && step_.now() - queue->front()->since >= settings_.explain_after / 2) {
        reason = why_waiting(*session, *queue);
      }
      if (!reason.empty() && reason != queue->explained) {
        step_.log(Log::Level::warning,
                  fmt::format("{} tasks of {} wait: {}", queue->size(), session->name, reason));
      }
      queue->explained = std::move(reason);
    }
  }
}

}  // namespace weft::broker
