// SPDX-License-Identifier: MIT
// What happens to a task between its arrival and its answer, and how answers reach clients.
// PROTOCOL.md sections 3 and 5.
#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

// ---- places ----

void Scheduler::queue(Task& task) {
  if (!task.spec->refusal.empty()) return refuse_task(task, task.spec->refusal);
  Session& session = *task.session;
  fair_queue_.remove(task);
  task.state = TaskState::queued;
  task.since = step_.now();
  const auto timeout_ms = task.spec->content.queue_timeout_ms;
  if (timeout_ms > 0 && task.due <= step_.now()) {  // it waits anew
    task.due = step_.now() + milliseconds_of(timeout_ms);
    step_.start_timer(task.due, TimerKind::queue_timeout, session.id, task.seq);
  }
  fair_queue_.push(task);
}

void Scheduler::attach(Task& task, Worker& worker, const wire::Attempt& attempt, TaskState state) {
  task.worker = &worker;
  task.attempt = attempt;
  task.answered = false;
  task.adopted = false;
  task.counted = false;
  task.charged = false;
  task.state = state;
  task.since = step_.now();
  if (worker.tasks.empty()) worker.progressed = step_.now();
  worker.tasks.push_back(task);
  worker.extra += task.spec->slots - 1;
  for (const auto& [name, amount] : task.spec->content.resources) worker.resources_free[name] -= amount;
  placer_.update(worker);
}

void Scheduler::detach(Task& task) {
  Worker& worker = *task.worker;
  TaskList::remove(task);
  worker.extra -= task.spec->slots - 1;
  for (const auto& [name, amount] : task.spec->content.resources) worker.resources_free[name] += amount;
  task.worker = nullptr;
  placer_.update(worker);
}

void Scheduler::erase(Task& task) {
  Session& session = *task.session;
  if (task.with_worker()) {
    detach(task);
  } else {
    fair_queue_.remove(task);
  }
  session.queued_bytes -= task.payload.size();
  queued_bytes_ -= task.payload.size();
  placer_.forget(task);
  Spec& spec = *task.spec;
  session.tasks.erase(task.seq);
  if (--spec.open_tasks == 0 && spec.forgotten) forget_spec(session, spec.number);
  if (session.tasks.empty()) delivery_.mark_dirty(session);
}

void Scheduler::forget_spec(Session& session, std::uint32_t number) {
  for (auto& [id, worker] : roster_.workers()) {
    WorkerSession* const known = worker->sessions.find(session.id);
    if (known == nullptr || known->specs.erase(number) == 0) continue;
    known->told.erase(number);
    worker->told_session = 0;
    step_.send(worker->peer, wire::ForgetFor{session.id, number});
  }
  release_blobs(session.specs.at(number)->holds);
  session.specs.erase(number);
}

/// Back to its queue, uncharged or after a charge, at once or after `delay`.
void Scheduler::requeue(Task& task, Duration delay) {
  if (task.with_worker()) detach(task);
  if (delay == Duration(0)) return queue(task);
  fair_queue_.remove(task);
  task.state = TaskState::delayed;
  task.since = step_.now();
  task.due = step_.now() + delay;
  task.session->delayed.push_back(task);
  step_.start_timer(task.due, TimerKind::task_due, task.session->id, task.seq);
}

/// Its worker will not run it: uncharged. An earlier broker may have given what was adopted to another worker
/// later on, who has a while to claim it.
void Scheduler::put_back(Task& task) {
  if (!may_be_elsewhere(task)) return requeue(task, Duration(0));
  detach(task);
  start_unclaimed(task);
}

/// An earlier broker assigned it, and so may have gone on with it elsewhere.
bool Scheduler::may_be_elsewhere(const Task& task) const {
  return task.adopted && task.attempt.epoch != settings_.epoch;
}

void Scheduler::await_claim(Task& task) {
  task.state = TaskState::awaiting;
  task.since = step_.now();
  task.session->awaiting.push_back(task);
}

/// A worker may still come that claims it.
void Scheduler::start_unclaimed(Task& task) {
  if (adopting()) {
    await_claim(task);
  } else {
    start_again(task);
  }
}

/// It was announced again and no worker claims it. An earlier broker may have had it started: what may be
/// started at most once is over.
void Scheduler::start_again(Task& task) {
  if (task.spec->content.crash_limit > 1 || !task.spec->refusal.empty()) return queue(task);
  charge_unknown_start(task);
}

void Scheduler::charge_unknown_start(Task& task) {
  wire::ErrorInfo info;
  info.message = "it may have been started before, and must not be started twice";
  info.ended_ms = step_.unix_ms(step_.now());
  charge(task, wire::Outcome::crashed, wire::Payload(wire::encode_error(info)));
}

// ---- results ----

void Scheduler::take_result(Worker& worker, Task& task, const wire::Attempt& attempt,
                            const wire::ResultRecord& record) {
  const bool current = task.worker == &worker && task.attempt == attempt;
  if (current) {
    constexpr double kWeight = 1.0 / 32;  // of the newest task in the averages
    // Too short to measure is still a time; more than a year is what a runner made up, and in the sums that
    // decide who is next everything else would vanish beside it.
    constexpr double kYear = 365.0 * 86'400 * 1e6;
    const double run_us = std::clamp(static_cast<double>(record.run_us), 1.0, kYear);
    Session& session = *task.session;
    session.unsettled_us += run_us * task.spec->slots - task.charged_us;
    session.average_us += kWeight * (run_us - session.average_us);
    worker.average_us =
        worker.average_us == 0 ? run_us : worker.average_us + kWeight * (run_us - worker.average_us);
    note_end(worker, task, record.outcome);
  }
  if (task.state == TaskState::cancelling) {  // its client has its answer
    if (current) erase(task);
    return;
  }
  if (record.outcome == wire::Outcome::ok) {
    if (take_blob_result(worker, task, current, record)) return;
    answer(task, wire::Outcome::ok, record.payload);
    if (task.with_worker() && !current) {
      revoke(task, wire::RevokeMode::cancel);
      task.state = TaskState::cancelling;
    } else {
      erase(task);
    }
    return;
  }
  if (!current) return count_untold(worker, task, attempt, record);
  task.answered = true;
  take_failure(worker, task, record);
}

/// For what is known of the worker.
void Scheduler::note_end(Worker& worker, const Task& task, wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::ok:
      WorkerHealth::note_success(worker);
      if (!worker.cannot_start.empty()) Eligibility::note_start(worker, task.spec->queue->placement->program);
      return;
    case wire::Outcome::failed:
    case wire::Outcome::timed_out:
    case wire::Outcome::crashed:
      if (health_.note_failure(worker)) avoid_bad_workers();
      return;
    default:
      return;
  }
}

void Scheduler::take_failure(Worker& worker, Task& task, const wire::ResultRecord& record) {
  switch (record.outcome) {
    case wire::Outcome::failed:
    case wire::Outcome::timed_out:
    case wire::Outcome::crashed: {
      // The journal may have this charge and lack one before it, so that the count alone does not tell.
      const Detached* entry = task.adopted ? find_detached(*task.session, task.seq) : nullptr;
      if (entry != nullptr && entry->has_charge(record)) {
        task.charged = true;
        return put_back(task);
      }
      // An earlier broker may have heard of this failure and started the task again.
      const bool ended_before =
          worker.executions->contains({TaskId{task.session->id, task.seq}, task.attempt});
      if (ended_before && task.spec->content.crash_limit <= 1) return charge_unknown_start(task);
      return charge(task, record.outcome, record.payload);
    }
    case wire::Outcome::cannot_start: {
      const Placement& placement = *task.spec->queue->placement;
      const auto info = record.payload.is_blob() ? Result<wire::ErrorInfo>(Fault{""})
                                                 : wire::decode_error(record.payload.inline_bytes());
      // A function that is missing says nothing of the program's other functions.
      const bool marks = !placement.program.empty() && !(info && info->type == wire::kMissingFunction);
      if (marks) eligibility_.note_refusal(worker, placement.program, record.payload);
      const auto may = [&](const auto& entry) {
        return entry.second.get() != &worker && eligibility_.could_run(*entry.second, placement);
      };
      const auto others = std::count_if(
          roster_.workers().begin(), roster_.workers().end(),
          [&](const auto& entry) { return may(entry) && eligibility_.has_memory_for(&task, *entry.second); });
      // No worker is marked for a function, a library or a command, so that each task counts for itself.
      const bool elsewhere = marks ? others > 0 : task.returned++ < others;
      if (elsewhere) return put_back(task);
      ReadyQueue& queue = *task.spec->queue;
      answer(task, record.outcome, record.payload);
      erase(task);
      if (!marks) return;
      queue.sized_for = 0;
      // No worker is left for those behind it either, unless this one's argument was too large for the
      // others.
      if (std::none_of(roster_.workers().begin(), roster_.workers().end(), may))
        answer_all(queue, record.outcome, record.payload);
      return;
    }
    case wire::Outcome::not_fetched:
      if (task.returned++ < settings_.fetch_tries) return put_back(task);
      answer(task, record.outcome, record.payload);
      return erase(task);
    case wire::Outcome::unknown:
      return refuse_task(
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

/// Every task that waits in `queue`, retries among them.
void Scheduler::answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload) {
  while (Task* task = queue.front()) {
    answer(*task, outcome, payload);
    erase(*task);
  }
}

/// Counts an attempt against its limit: the task goes on, or this was its last.
void Scheduler::charge(Task& task, wire::Outcome outcome, wire::Payload error) {
  if (std::exchange(task.counted, false)) return put_back(task);  // nobody pays twice for one execution
  if (is_last(task, outcome)) return fail_for_good(task, outcome, std::move(error));
  const bool crashed = outcome == wire::Outcome::crashed;
  count(task, outcome, std::move(error));
  if (task.with_worker()) {
    task.charged = true;
    placer_.note_failed_on(task, *task.worker);
  }
  Duration delay = crashed ? Duration(0) : milliseconds_of(task.spec->content.retry_delay_ms);
  // An earlier broker may have charged it too, and a worker that is still to come may have the next attempt.
  if (may_be_elsewhere(task) && adopting()) delay = std::max(delay, adoption_ends_ - step_.now());
  requeue(task, delay);
}

bool Scheduler::is_last(const Task& task, wire::Outcome outcome) {
  const wire::TaskSpec& spec = task.spec->content;
  return outcome == wire::Outcome::crashed ? task.crashes + 1 >= spec.crash_limit
                                           : task.retries_used >= spec.retries;
}

/// The attempt reached the task's limit.
void Scheduler::fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error) {
  if (outcome == wire::Outcome::crashed) ++task.crashes;
  answer(task, outcome, std::move(error));
  erase(task);
}

void Scheduler::count(Task& task, wire::Outcome outcome, wire::Payload error) {
  ++(outcome == wire::Outcome::crashed ? task.crashes : task.retries_used);
  wire::DeliveryRecord charged{
      task.seq, wire::DeliveryKind::charged, outcome, task.retries_used, task.crashes, std::move(error)};
  if (task.spec->content.detach) take_charge(*task.session, task.session->detached.at(task.seq), charged);
  delivery_.deliver(*task.session, std::move(charged));
}

/// A failed attempt of an earlier broker, which assigned the task again before it died. It is counted only if
/// that broker had charged it and the charge is lost: the number of the execution lies between what the
/// client (or the journal) knows and what the adopted attempt claimed, and the journal does not have this
/// charge.
void Scheduler::count_untold(const Worker& worker, Task& task, const wire::Attempt& attempt,
                             const wire::ResultRecord& record) {
  const bool charges = record.outcome == wire::Outcome::failed ||
                       record.outcome == wire::Outcome::timed_out || record.outcome == wire::Outcome::crashed;
  const auto execution = worker.executions->find({TaskId{task.session->id, task.seq}, attempt});
  if (!charges || execution == worker.executions->end()) return;
  if (attempt.epoch == settings_.epoch || execution->second < task.untold ||
      execution->second >= task.claimed) {
    return;
  }
  const Detached* entry = find_detached(*task.session, task.seq);
  if (entry != nullptr && entry->has_charge(record)) return;
  if (!is_last(task, record.outcome)) return count(task, record.outcome, record.payload);
  if (!task.with_worker()) fail_for_good(task, record.outcome, record.payload);  // else it runs again already
}

void Scheduler::answer(Task& task, wire::Outcome outcome, wire::Payload payload) {
  ++finished_;
  ++task.session->finished;
  wire::DeliveryRecord record{task.seq,     wire::DeliveryKind::final, outcome, task.retries_used,
                              task.crashes, std::move(payload)};
  Detached* entry = task.spec->content.detach ? find_detached(*task.session, task.seq) : nullptr;
  if (entry != nullptr) return take_answer(*entry, task, std::move(record));
  delivery_.deliver(*task.session, std::move(record));
}

void Scheduler::fail_unschedulable(Task& task) {
  std::string reason = eligibility_.explain(*task.spec->queue->placement);
  if (reason.empty()) reason = "all slots that could run it were busy";
  wire::ErrorInfo info;
  info.message = fmt::format("it waited longer than its queue_timeout of {:.1f} s: {}",
                             static_cast<double>(task.spec->content.queue_timeout_ms) / 1e3, reason);
  info.ended_ms = step_.unix_ms(step_.now());
  answer(task, wire::Outcome::unschedulable, wire::Payload(wire::encode_error(info)));
  erase(task);
}

/// It asks for what cannot be promised: that is its answer.
void Scheduler::refuse_task(Task& task, const std::string& reason) {
  wire::ErrorInfo info;
  info.message = reason;
  info.ended_ms = step_.unix_ms(step_.now());
  answer(task, wire::Outcome::refused, wire::Payload(wire::encode_error(info)));
  erase(task);
}

void Scheduler::answer_cancelled(Task& task) {
  answer(task, wire::Outcome::cancelled, wire::Payload(wire::encode_error({.message = "it was cancelled"})));
}

void Scheduler::cancel(Task& task) {
  if (task.state == TaskState::cancelling) return;
  answer_cancelled(task);
  if (!task.with_worker()) return erase(task);
  revoke(task, wire::RevokeMode::cancel);
  task.state = TaskState::cancelling;
}

void Scheduler::revoke(const Task& task, wire::RevokeMode mode) {
  step_.send(task.worker->peer, wire::Revoke{task.session->id, mode, {{task.seq, task.attempt}}});
}

wire::ErrorInfo Scheduler::loss_of(const Worker& worker, const Task& task, const std::string& how) const {
  wire::ErrorInfo info;
  info.message = how;
  info.worker = worker.hello.name;
  info.host = worker.hello.host;
  info.started_ms = task.state == TaskState::running ? step_.unix_ms(task.since) : 0;
  info.ended_ms = step_.unix_ms(step_.now());
  return info;
}

}  // namespace weft::broker
