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

void Lifecycle::reopen(Task& task, const wire::ReannounceRecord& record) {
  abandon_attempt(task);
  task.retries_used = record.retries_used;
  task.crashes = record.crashes;
  start_unclaimed(task);
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
  if (task.due <= tables_.step.now()) start_queue_timeout(task, 0);  // it waits once more
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

void Lifecycle::put_back(Task& task) {
  if (!may_be_elsewhere(task)) return requeue(task, Duration(0));
  leave_place(task);
  start_unclaimed(task);
}

/// An earlier broker assigned it, and so may have gone on with it at another worker.
bool Lifecycle::may_be_elsewhere(const Task& task) const {
  return task.adopted.current && task.attempt.epoch != settings_.epoch;
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

void Lifecycle::start_unclaimed(Task& task) {
  if (tables_.adoption.window_is_open()) {
    await_claim(task);
  } else {
    start_again(task);
  }
}

void Lifecycle::start_again(Task& task) {
  if (task.spec->content.crash_limit > 1 || !task.spec->refusal.empty()) return queue(task);
  charge_unknown_start(task);
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

/// Away from its worker, or out of its queue.
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
  // An attempt that is done, however it ended, is not lost with its worker: assigned, not running.
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

// ---- failures ----

void Lifecycle::take_failure(Worker& worker, Task& task, const wire::ResultRecord& record) {
  task.answered = true;
  switch (record.outcome) {
    case wire::Outcome::failed:
    case wire::Outcome::timed_out:
    case wire::Outcome::crashed:
      return take_executed_failure(worker, task, record);
    case wire::Outcome::cannot_start:
      return take_refused_start(worker, task, record);
    case wire::Outcome::not_fetched:
      if (task.returned++ < settings_.fetch_tries) return put_back(task);
      answer(task, record.outcome, record.payload);
      return erase(task);
    case wire::Outcome::unknown:
      return refuse(
          task, fmt::format("worker {} ended it in a way that this broker, which speaks protocol "
                            "{}.{}, does not know: the worker speaks {}.{}",
                            worker.hello.name, wire::kMajor, settings_.minor, wire::kMajor, worker.minor));
    case wire::Outcome::cancelled:
      // By an earlier broker, or when we had given its client up. The attempt may have begun.
      return task.spec->content.crash_limit > 1 ? put_back(task) : charge_unknown_start(task);
    case wire::Outcome::ok:
    case wire::Outcome::refused:
    case wire::Outcome::unschedulable:
      return put_back(task);
  }
}

void Lifecycle::take_result_again(Task& task) {
  if (task.state == TaskState::cancelling) return erase(task);
  unbind(task);
  task.answered = true;
  start_unclaimed(task);
}

void Lifecycle::take_executed_failure(const Worker& worker, Task& task, const wire::ResultRecord& record) {
  // The journal may have this charge and lack one before it, so the count alone does not tell.
  const Detached* entry = task.adopted.current ? Durable::find(*task.session, task.seq) : nullptr;
  if (const std::uint32_t charge = entry != nullptr ? entry->charge_of(record) : 0; charge != 0) {
    task.adopted.charge = charge;
    return put_back(task);
  }
  // An earlier broker may have heard of this failure and started the task again.
  const bool ended_before = worker.executions->contains({TaskId{task.session->id, task.seq}, task.attempt});
  if (ended_before && task.spec->content.crash_limit <= 1) return charge_unknown_start(task);
  charge(task, record.outcome, record.payload);
}

/// Its program, or its function, did not start there.
void Lifecycle::take_refused_start(Worker& worker, Task& task, const wire::ResultRecord& record) {
  const Eligibility& eligibility = tables_.eligibility;
  const Placement& placement = *task.spec->queue->placement;
  const auto info = record.payload.is_blob() ? Result<wire::ErrorInfo>(Fault{""})
                                             : wire::decode_error(record.payload.inline_bytes());
  // A function that is missing says nothing of the program's other functions.
  const bool marks = !placement.program.empty() && !(info && info->type == wire::kMissingFunction);
  if (marks) eligibility.note_refusal(worker, placement.program, record.payload);
  const auto& workers = tables_.roster.workers();
  const auto may = [&](const auto& entry) {
    return entry.second.get() != &worker && eligibility.could_run(*entry.second, placement);
  };
  const auto others = std::count_if(workers.begin(), workers.end(), [&](const auto& entry) {
    return may(entry) && Eligibility::has_memory_for(&task, *entry.second);
  });
  // No worker is marked for a function, a library or a command: each task counts for itself.
  const bool elsewhere = marks ? others > 0 : task.returned++ < others;
  if (elsewhere) return put_back(task);
  ReadyQueue& queue = *task.spec->queue;
  answer(task, record.outcome, record.payload);
  erase(task);
  if (!marks) return;
  queue.sized_for = 0;
  // No worker is left for the tasks behind it either, unless its own argument was too large for the others.
  if (std::none_of(workers.begin(), workers.end(), may)) answer_all(queue, record.outcome, record.payload);
}

/// Counts an attempt against its limit: the task goes on, or this was its last.
void Lifecycle::charge(Task& task, wire::Outcome outcome, wire::Payload error) {
  if (task.adopted.current && std::exchange(task.adopted.prepaid, false)) return put_back(task);
  if (is_last(task, outcome)) return fail_for_good(task, outcome, std::move(error));
  const bool crashed = outcome == wire::Outcome::crashed;
  count(task, outcome, std::move(error));
  if (task.with_worker()) {
    const Detached* entry = task.adopted.current ? Durable::find(*task.session, task.seq) : nullptr;
    if (entry != nullptr) task.adopted.charge = static_cast<std::uint32_t>(entry->charges.size());
    tables_.placer.note_failed_on(task, *task.worker);
  }
  Duration delay = crashed ? Duration(0) : milliseconds_of(task.spec->content.retry_delay_ms);
  // An earlier broker may have charged it too, and a worker that is still to come may have the next attempt.
  if (may_be_elsewhere(task) && tables_.adoption.window_is_open())
    delay = std::max(delay, tables_.adoption.window_ends() - tables_.step.now());
  requeue(task, delay);
}

void Lifecycle::charge_unknown_start(Task& task) {
  wire::ErrorInfo info;
  info.message = "it may have been started before, and must not be started twice";
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  charge(task, wire::Outcome::crashed, wire::Payload(wire::encode_error(info)));
}

bool Lifecycle::is_last(const Task& task, wire::Outcome outcome) {
  const wire::TaskSpec& spec = task.spec->content;
  return outcome == wire::Outcome::crashed ? task.crashes + 1 >= spec.crash_limit
                                           : task.retries_used >= spec.retries;
}

void Lifecycle::fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error) {
  if (outcome == wire::Outcome::crashed) ++task.crashes;
  answer(task, outcome, std::move(error));
  erase(task);
}

void Lifecycle::count(Task& task, wire::Outcome outcome, wire::Payload error) {
  ++(outcome == wire::Outcome::crashed ? task.crashes : task.retries_used);
  wire::DeliveryRecord charged{
      task.seq, wire::DeliveryKind::charged, outcome, task.retries_used, task.crashes, std::move(error)};
  if (task.spec->content.detach)
    tables_.durable.take_charge(*task.session, task.session->detached.at(task.seq), charged);
  tables_.delivery.deliver(*task.session, std::move(charged));
}

void Lifecycle::take_lost_failure(const Worker& worker, Task& task, const wire::Attempt& attempt,
                                  const wire::ResultRecord& record) {
  const bool charges = record.outcome == wire::Outcome::failed ||
                       record.outcome == wire::Outcome::timed_out || record.outcome == wire::Outcome::crashed;
  const auto execution = worker.executions->find({TaskId{task.session->id, task.seq}, attempt});
  if (!charges || execution == worker.executions->end() || attempt.epoch == settings_.epoch ||
      !task.adopted.is_untold(execution->second)) {
    return;
  }
  const Detached* entry = Durable::find(*task.session, task.seq);
  if (entry != nullptr && entry->charge_of(record) != 0) return;
  if (!is_last(task, record.outcome)) return count(task, record.outcome, record.payload);
  if (!task.with_worker()) fail_for_good(task, record.outcome, record.payload);  // else it runs already
}

void Lifecycle::take_loss(Task& task, const std::string& how) {
  wire::ErrorInfo info;
  info.message = how;
  info.worker = task.worker->hello.name;
  info.host = task.worker->hello.host;
  info.started_ms = task.state == TaskState::running ? tables_.step.unix_ms(task.since) : 0;
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  charge(task, wire::Outcome::crashed, wire::Payload(wire::encode_error(info)));
}

void Lifecycle::take_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record) {
  if (!journal_charges_of_client(entry, task, record)) return;
  AdoptedExecution& adopted = task.adopted;
  if (adopted.current && adopted.execution < task.execution()) adopted.prepaid = true;
  adopted.first_untold = std::max(adopted.first_untold, 1 + record.retries_used + record.crashes);
}

/// False: they reach the limit of the task, which is answered and erased.
bool Lifecycle::journal_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record) {
  std::uint32_t retries_used = record.retries_used;
  std::uint32_t crashes = record.crashes;
  // The adopted attempt, which has failed since, came after what the client knows of.
  const bool later = entry.phase == Detached::Phase::open && task.adopted.current &&
                     task.adopted.charge != 0 && !task.with_worker() &&
                     task.adopted.execution > retries_used + crashes;
  const wire::DeliveryRecord last = later ? entry.charges[task.adopted.charge - 1] : wire::DeliveryRecord{};
  if (later) ++(last.outcome == wire::Outcome::crashed ? crashes : retries_used);
  const bool crashed = crashes > task.crashes;
  if (!crashed && retries_used <= task.retries_used) return true;
  task.retries_used = std::max(task.retries_used, retries_used);
  task.crashes = std::max(task.crashes, crashes);
  const wire::TaskSpec& spec = task.spec->content;
  if (later && (task.crashes >= spec.crash_limit || task.retries_used > spec.retries)) {
    answer(task, last.outcome, last.payload);
    erase(task);
    return false;
  }
  const std::string error = wire::encode_error(
      {.message =
           "its client was told of this failure, by a broker that ended before it had written it down"});
  tables_.durable.take_charge(
      *task.session, entry,
      {task.seq, wire::DeliveryKind::charged, crashed ? wire::Outcome::crashed : wire::Outcome::failed,
       task.retries_used, task.crashes, wire::Payload(error)});
  return true;
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

/// The task is answered. If a worker has it, it goes when that worker has stopped it.
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
    // Adopted tasks were started by another life of the broker; ours alone never over-commit.
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
