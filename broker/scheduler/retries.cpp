// SPDX-License-Identifier: MIT
#include "broker/scheduler/retries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/wire/codec.hpp"

namespace weft::broker {

// ---- without a charge ----

void Retries::put_back(Task& task) {
  if (!may_be_elsewhere(task)) return lifecycle_.requeue(task, Duration(0));
  lifecycle_.leave_place(task);
  start_unclaimed(task);
}

/// Whether an earlier broker assigned the task: it may have assigned the task to another worker later.
bool Retries::may_be_elsewhere(const Task& task) const {
  return task.adopted.current && task.attempt.epoch != settings_.epoch;
}

void Retries::start_unclaimed(Task& task) {
  if (tables_.adoption.window_is_open()) {
    lifecycle_.await_claim(task);
  } else {
    start_again(task);
  }
}

void Retries::start_again(Task& task) {
  if (task.spec->content.crash_limit > 1 || !task.spec->refusal.empty()) return lifecycle_.queue(task);
  charge_unknown_start(task);
}

void Retries::reopen(Task& task, const wire::ReannounceRecord& record) {
  lifecycle_.abandon_attempt(task);
  task.retries_used = record.retries_used;
  task.crashes = record.crashes;
  start_unclaimed(task);
}

void Retries::take_result_again(Task& task) {
  if (task.state == TaskState::cancelling) return lifecycle_.erase(task);
  lifecycle_.unbind(task);
  task.answered = true;
  start_unclaimed(task);
}

// ---- failures ----

void Retries::take_failure(Worker& worker, Task& task, const wire::ResultRecord& record) {
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
      lifecycle_.answer(task, record.outcome, record.payload);
      return lifecycle_.erase(task);
    case wire::Outcome::unknown:
      return lifecycle_.refuse(
          task, fmt::format("worker {} ended it in a way that this broker, which speaks protocol "
                            "{}.{}, does not know: the worker speaks {}.{}",
                            worker.hello.name, wire::kMajor, settings_.minor, wire::kMajor, worker.minor));
    case wire::Outcome::cancelled:
      // Cancelled by an earlier broker, or when this one had given up its client. The attempt may have
      // started.
      return task.spec->content.crash_limit > 1 ? put_back(task) : charge_unknown_start(task);
    case wire::Outcome::ok:
    case wire::Outcome::refused:
    case wire::Outcome::unschedulable:
      return put_back(task);
  }
}

void Retries::take_executed_failure(const Worker& worker, Task& task, const wire::ResultRecord& record) {
  // The journal may have this charge and lack one before it, so the count alone does not tell.
  const Detached* entry = task.adopted.current ? Durable::find(*task.session, task.seq) : nullptr;
  if (const std::uint32_t charge = entry != nullptr ? entry->charge_of(record) : 0; charge != 0) {
    task.adopted.charge = charge;
    return put_back(task);
  }
  // The attempt ended before the worker joined: an earlier broker may know the failure and have started the
  // task again.
  const bool ended_before = worker.executions->contains({TaskId{task.session->id, task.seq}, task.attempt});
  if (ended_before && task.spec->content.crash_limit <= 1) return charge_unknown_start(task);
  charge(task, record.outcome, record.payload);
}

/// The program or the function of the task did not start on the worker.
void Retries::take_refused_start(Worker& worker, Task& task, const wire::ResultRecord& record) {
  const Eligibility& eligibility = tables_.eligibility;
  const Placement& placement = *task.spec->queue->placement;
  const auto info = record.payload.is_blob() ? Result<wire::ErrorInfo>(Fault{""})
                                             : wire::decode_error(record.payload.inline_bytes());
  // A missing function says nothing about the program's other functions.
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
  lifecycle_.answer(task, record.outcome, record.payload);
  lifecycle_.erase(task);
  if (!marks) return;
  queue.sized_for = 0;
  // No worker is left for the tasks behind it either, unless its own argument was too large for the others.
  if (std::none_of(workers.begin(), workers.end(), may))
    lifecycle_.answer_all(queue, record.outcome, record.payload);
}

/// Charges a failed attempt to the task's limits: retries the task, or makes the failure its answer.
void Retries::charge(Task& task, wire::Outcome outcome, wire::Payload error) {
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
  // An earlier broker may have charged it too, and a worker that has not joined yet may have the next
  // attempt.
  if (may_be_elsewhere(task) && tables_.adoption.window_is_open())
    delay = std::max(delay, tables_.adoption.window_ends() - tables_.step.now());
  lifecycle_.requeue(task, delay);
}

void Retries::charge_unknown_start(Task& task) {
  wire::ErrorInfo info;
  info.message = "it may have been started before, and must not be started twice";
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  charge(task, wire::Outcome::crashed, wire::Payload(wire::encode_error(info)));
}

bool Retries::is_last(const Task& task, wire::Outcome outcome) {
  const wire::TaskSpec& spec = task.spec->content;
  return outcome == wire::Outcome::crashed ? task.crashes + 1 >= spec.crash_limit
                                           : task.retries_used >= spec.retries;
}

void Retries::fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error) {
  if (outcome == wire::Outcome::crashed) ++task.crashes;
  lifecycle_.answer(task, outcome, std::move(error));
  lifecycle_.erase(task);
}

void Retries::count(Task& task, wire::Outcome outcome, wire::Payload error) {
  ++(outcome == wire::Outcome::crashed ? task.crashes : task.retries_used);
  wire::DeliveryRecord charged{
      task.seq, wire::DeliveryKind::charged, outcome, task.retries_used, task.crashes, std::move(error)};
  if (task.spec->content.detach)
    tables_.durable.take_charge(*task.session, task.session->detached.at(task.seq), charged);
  tables_.delivery.deliver(*task.session, std::move(charged));
}

void Retries::take_lost_failure(const Worker& worker, Task& task, const wire::Attempt& attempt,
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
  if (!task.with_worker()) fail_for_good(task, record.outcome, record.payload);  // otherwise it runs again
}

void Retries::take_loss(Task& task, const std::string& how) {
  wire::ErrorInfo info;
  info.message = how;
  info.worker = task.worker->hello.name;
  info.host = task.worker->hello.host;
  info.started_ms = task.state == TaskState::running ? tables_.step.unix_ms(task.since) : 0;
  info.ended_ms = tables_.step.unix_ms(tables_.step.now());
  charge(task, wire::Outcome::crashed, wire::Payload(wire::encode_error(info)));
}

void Retries::take_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record) {
  if (!journal_charges_of_client(entry, task, record)) return;
  AdoptedExecution& adopted = task.adopted;
  if (adopted.current && adopted.execution < task.execution()) adopted.prepaid = true;
  adopted.first_untold = std::max(adopted.first_untold, 1 + record.retries_used + record.crashes);
}

/// False: the charges reach the limit of the task, which is answered and erased.
bool Retries::journal_charges_of_client(Detached& entry, Task& task, const wire::ReannounceRecord& record) {
  std::uint32_t retries_used = record.retries_used;
  std::uint32_t crashes = record.crashes;
  // The adopted attempt has failed since, and came after all charges that the client knows.
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
    lifecycle_.answer(task, last.outcome, last.payload);
    lifecycle_.erase(task);
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

}  // namespace weft::broker
