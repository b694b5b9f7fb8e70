// SPDX-License-Identifier: MIT
#include "broker/scheduler/lifecycle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

// ---- arrival ----

Task& Lifecycle::add(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload) {
  Task& task = session.tasks.emplace(seq);
  task.seq = seq;
  task.session = &session;
  task.spec = &spec;
  task.payload = payload;
  ++task.spec->open_tasks;
  tables_.roster.change_bytes(session, 0, payload.size());
  return task;
}

void Lifecycle::arm_queue_timeout(Task& task, std::uint64_t waited_ms) {
  const std::uint64_t ms = task.spec->content.queue_timeout_ms;
  task.due = tables_.step.now() + milliseconds_of(std::max<std::uint64_t>(ms - std::min(ms, waited_ms), 1));
  tables_.step.start_timer(task.due, TimerKind::queue_timeout, task.session->id, task.seq);
}

void Lifecycle::erase(Task& task) {
  Session& session = *task.session;
  leave_place(task);
  tables_.roster.change_bytes(session, task.payload.size(), 0);
  tables_.placer.forget(task);
  Spec& spec = *task.spec;
  session.tasks.erase(task.seq);
  tables_.specs.release(session, spec);
  if (session.tasks.empty()) tables_.delivery.mark_dirty(session);
}

// ---- waiting ----

void Lifecycle::queue(Task& task) {
  if (!task.spec->refusal.empty()) return refuse(task, task.spec->refusal);
  tables_.fair_queue.remove(task);
  task.state = TaskState::queued;
  task.since = tables_.step.now();
  if (task.due <= tables_.step.now()) start_queue_timeout(task, 0);  // the task waits again
  tables_.fair_queue.push(task);
}

void Lifecycle::requeue(Task& task, Duration delay) {
  leave_place(task);
  if (delay == Duration(0)) return queue(task);
  task.state = TaskState::delayed;
  task.since = tables_.step.now();
  task.due = tables_.step.now() + delay;
  task.session->delayed.push_back(task);
  tables_.step.start_timer(task.due, TimerKind::task_due, task.session->id, task.seq);
}

void Lifecycle::await_claim(Task& task) {
  task.state = TaskState::awaiting;
  task.since = tables_.step.now();
  task.session->awaiting.push_back(task);
}

void Lifecycle::await_journal(Task& task) {
  leave_place(task);
  task.state = TaskState::saving;
  task.since = tables_.step.now();
  task.session->saving.push_back(task);
}

// ---- with a worker ----

void Lifecycle::bind(Task& task, Worker& worker, const wire::Attempt& attempt, TaskState state) {
  task.worker = &worker;
  task.attempt = attempt;
  task.answered = false;
  task.adopted.current = false;
  task.state = state;
  task.since = tables_.step.now();
  if (worker.tasks.empty()) worker.progressed = tables_.step.now();
  worker.tasks.push_back(task);
  worker.extra += task.spec->slots - 1;
  for (const auto& [name, amount] : task.spec->content.resources) worker.resources_free[name] -= amount;
  tables_.placer.update(worker);
}

void Lifecycle::unbind(Task& task) {
  Worker& worker = *task.worker;
  TaskList::remove(task);
  worker.extra -= task.spec->slots - 1;
  for (const auto& [name, amount] : task.spec->content.resources) worker.resources_free[name] += amount;
  task.worker = nullptr;
  tables_.placer.update(worker);
}

void Lifecycle::leave_place(Task& task) {
  if (task.with_worker()) {
    unbind(task);
  } else {
    tables_.fair_queue.remove(task);
  }
}

void Lifecycle::note_started(Task& task) {
  task.state = TaskState::running;
  task.since = tables_.step.now();
}

void Lifecycle::assign(Task& task, Worker& worker) {
  tables_.fair_queue.remove(task);
  bind(task, worker, wire::Attempt{settings_.epoch, next_attempt_++}, TaskState::assigned);
}

void Lifecycle::adopt(Task& task, Worker& worker, const wire::ClaimRecord& claim) {
  tables_.adoption.remove_zombie(worker, TaskId{task.session->id, task.seq}, claim.attempt);
  tables_.fair_queue.remove(task);
  // A done attempt becomes assigned, not running, so that the loss of its worker is not charged as a crash.
  const bool running = claim.state == wire::ClaimState::running;
  bind(task, worker, claim.attempt, running ? TaskState::running : TaskState::assigned);
  task.adopted = {.execution = claim.execution,
                  .first_untold = task.execution(),
                  .current = true,
                  .prepaid = claim.execution < task.execution()};
}

void Lifecycle::abandon_attempt(Task& task) {
  tables_.adoption.add_zombie(*task.worker, TaskId{task.session->id, task.seq}, task.attempt);
  unbind(task);
}

void Lifecycle::revoke(const Task& task, wire::RevokeMode mode) {
  tables_.step.send(task.worker->peer, wire::Revoke{task.session->id, mode, {{task.seq, task.attempt}}});
}

// ---- answers ----

void Lifecycle::answer(Task& task, wire::Outcome outcome, wire::Payload payload) {
  ++finished_;
  ++task.session->finished;
  wire::DeliveryRecord record{task.seq,     wire::DeliveryKind::final, outcome, task.retries_used,
                              task.crashes, std::move(payload)};
  Detached* entry = task.spec->content.detach ? Durable::find(*task.session, task.seq) : nullptr;
  if (entry != nullptr) return tables_.durable.take_answer(*entry, task, std::move(record));
  tables_.delivery.deliver(*task.session, std::move(record));
}

void Lifecycle::answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload) {
  while (Task* task = queue.front()) {
    answer(*task, outcome, payload);
    erase(*task);
  }
}

void Lifecycle::refuse(Task& task, const std::string& reason) {
  wire::ErrorInfo info;
  info.message = reason;
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  answer(task, wire::Outcome::refused, wire::Payload(wire::encode_error(info)));
  erase(task);
}

void Lifecycle::answer_cancelled(Task& task) {
  answer(task, wire::Outcome::cancelled, wire::Payload(wire::encode_error({.message = "it was cancelled"})));
}

void Lifecycle::cancel(Task& task) {
  if (task.state == TaskState::cancelling) return;
  answer_cancelled(task);
  stop_or_erase(task);
}

void Lifecycle::complete(Task& task, bool current, const wire::Payload& result) {
  answer(task, wire::Outcome::ok, result);
  current ? erase(task) : stop_or_erase(task);
}

/// The task is answered. If a worker has it, the task is erased when that worker has stopped it.
void Lifecycle::stop_or_erase(Task& task) {
  if (!task.with_worker()) return erase(task);
  revoke(task, wire::RevokeMode::cancel);
  task.state = TaskState::cancelling;
}

void Lifecycle::fail_unschedulable(Task& task) {
  std::string reason = tables_.eligibility.explain(*task.spec->queue->placement);
  if (reason.empty()) reason = "all slots that could run it were busy";
  wire::ErrorInfo info;
  info.message = fmt::format("it waited longer than its queue_timeout of {:.1f} s: {}",
                             static_cast<double>(task.spec->content.queue_timeout_ms) / 1e3, reason);
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  answer(task, wire::Outcome::unschedulable, wire::Payload(wire::encode_error(info)));
  erase(task);
}

void Lifecycle::check_invariants() const {
  for (const auto& [id, session] : tables_.roster.sessions()) {
    session->tasks.for_each([&, session = session.get()](std::uint64_t seq, const Task& task) {
      const bool has_worker = task.state == TaskState::assigned || task.state == TaskState::running ||
                              task.state == TaskState::cancelling;
      WEFT_CHECK(has_worker == task.with_worker());
      WEFT_CHECK(task.seq == seq && task.session == session &&
                 (seq <= session->received || task.spec->content.detach));
      if (has_worker) WEFT_CHECK(task.worker->tasks.contains(task));
      if (task.state == TaskState::delayed) WEFT_CHECK(session->delayed.contains(task));
      if (task.state == TaskState::saving)
        WEFT_CHECK(session->saving.contains(task) && session->detached.contains(seq));
      if (task.state == TaskState::awaiting) WEFT_CHECK(session->awaiting.contains(task));
    });
  }
  for (const auto& [id, worker] : tables_.roster.workers()) {
    for (const Task* task = worker->tasks.front(); task != nullptr; task = TaskList::after(*task)) {
      WEFT_CHECK(task->worker == worker.get());
    }
    // Adopted tasks are bound without a check of resources; only with them may a worker be over-committed.
    for (const auto& [name, free] : worker->resources_free) {
      double used = 0;
      bool adopted = false;
      for (const Task* task = worker->tasks.front(); task != nullptr; task = TaskList::after(*task)) {
        const auto need = task->spec->content.resources.find(name);
        if (need == task->spec->content.resources.end()) continue;
        used += need->second;
        adopted = adopted || task->adopted.current;
      }
      const auto total = worker->hello.resources.find(name);
      const double has = total != worker->hello.resources.end() ? total->second : 0;
      WEFT_CHECK(std::abs(has - used - free) < 1e-6);
      WEFT_CHECK(adopted || free > -1e-6);
    }
  }
}

}  // namespace weft::broker
