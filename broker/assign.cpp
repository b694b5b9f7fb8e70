// SPDX-License-Identifier: MIT
// Who gets what: clients in turn by slot time, within a client the highest priority and the oldest
// task, to the most idle worker that may run it. PROTOCOL.md section 6.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "broker/scheduler.hpp"

namespace weft::broker {

void Scheduler::schedule() {
  ++pass_;
  while (!open_workers_.empty() && !contenders_.empty() && schedule_one()) {
  }
  flush_assignments();
  if (contenders_.empty()) rebalance();
}

/// Assigns one task, or finds that nothing can be assigned.
bool Scheduler::schedule_one() {
  for (const auto& [slot_us, serial, session] : contenders_) {
    for (;;) {
      ReadyQueue* best = nullptr;
      for (ReadyQueue* queue : session->order) {
        if (queue->tasks.empty() || queue->blocked_in_pass == pass_) continue;
        if (best != nullptr && best->placement->priority > queue->placement->priority) break;
        if (best == nullptr || queue->tasks.front()->seq < best->tasks.front()->seq) best = queue;
      }
      if (best == nullptr) break;  // the next client
      if (Worker* worker = place(*best)) {
        fair_clock_ = slot_us;
        assign(*best->tasks.front(), *worker);
        return true;
      }
      best->blocked_in_pass = pass_;  // room only shrinks within a pass
    }
  }
  return false;
}

/// The most idle worker that can take a task of `queue` now, preferred ones first.
Worker* Scheduler::place(ReadyQueue& queue) {
  const Placement& placement = *queue.placement;
  Worker* fallback = nullptr;
  for (const auto& [load, serial, worker] : open_workers_) {
    if (!fits_now(*worker, placement)) continue;
    const bool preferred =
        placement.prefer.empty() ||
        std::any_of(placement.prefer.begin(), placement.prefer.end(),
                    [&, w = worker](const std::string& name) { return w->is_called(name); });
    if (preferred) return worker;
    if (fallback == nullptr) fallback = worker;
  }
  return fallback;
}

bool Scheduler::fits_now(const Worker& worker, const Placement& placement) const {
  constexpr double kRounding = 1e-9;
  if (placement.anywhere() && worker.cannot_start.empty()) return true;
  if (!could_run(worker, placement)) return false;
  if (!placement.resources.empty() && !worker.strays.empty()) return false;
  return std::all_of(placement.resources.begin(), placement.resources.end(), [&](const auto& need) {
    const auto free = worker.resources_free.find(need.first);
    return free != worker.resources_free.end() && free->second + kRounding >= need.second;
  });
}

/// Whether it could if it were idle.
bool Scheduler::could_run(const Worker& worker, const Placement& placement) const {
  if (worker.state == WorkerState::draining || worker.state == WorkerState::lost) return false;
  if (const auto bad = worker.cannot_start.find(placement.program);
      bad != worker.cannot_start.end() && now_ < bad->second.until) {
    return false;
  }
  if (!placement.workers.empty() &&
      std::none_of(placement.workers.begin(), placement.workers.end(),
                   [&](const std::string& name) { return worker.is_called(name); })) {
    return false;
  }
  // A name that nobody has goes anywhere, and fails there with the list of known ones.
  if (const std::string& name = placement.library_function; !name.empty() && functions_.contains(name)) {
    const auto& functions = worker.hello.functions;
    if (std::find(functions.begin(), functions.end(), name) == functions.end()) return false;
  }
  return std::all_of(placement.resources.begin(), placement.resources.end(), [&](const auto& need) {
    const auto has = worker.hello.resources.find(need.first);
    return has != worker.hello.resources.end() && has->second >= need.second;
  });
}

void Scheduler::assign(Task& task, Worker& worker) {
  Session& session = *task.session;
  WorkerSession& known = worker.sessions[session.id];
  if (known.told.insert(task.spec->number).second) {
    known.specs.insert(task.spec->number);
    send(worker.peer, wire::DefineFor{session.id, task.spec->number, task.spec->content});
  }
  take_out(task);
  attach(task, worker, wire::Attempt{settings_.epoch, next_attempt_++}, TaskState::assigned);
  task.charged_us = static_cast<std::uint32_t>(std::min(session.average_us, 1e9));
  use_slot_time(session, task.charged_us);

  wire::Assign& outgoing = worker.outgoing;
  if (!outgoing.tasks.empty() && outgoing.session != session.id) {
    send(worker.peer, std::exchange(outgoing, {}));
  }
  if (outgoing.tasks.empty()) assigned_to_.push_back(&worker);
  outgoing.session = session.id;
  outgoing.tasks.push_back(
      {task.seq, task.attempt.number, task.spec->number, task.execution(), task.crashes > 0, task.payload});
}

void Scheduler::flush_assignments() {
  for (Worker* worker : assigned_to_) {
    if (!worker->outgoing.tasks.empty()) send(worker->peer, std::exchange(worker->outgoing, {}));
  }
  assigned_to_.clear();
}

/// How many tasks a worker may have. Long tasks are not prefetched, so that whoever is idle first gets
/// the next; short ones are, to cover the way there and back.
std::size_t Scheduler::credit(const Worker& worker) const {
  double prefetch = 0;
  if (worker.average_us > 0 &&
      worker.average_us <= static_cast<double>(settings_.prefetch_task_max.count())) {
    prefetch = std::ceil(static_cast<double>(settings_.prefetch.count()) / worker.average_us);
    prefetch = std::min(prefetch, static_cast<double>(settings_.prefetch_max));
  }
  return worker.hello.slots * (1 + static_cast<std::size_t>(prefetch));
}

/// Files the worker under its present load, if it may have more.
void Scheduler::update_open(Worker& worker) {
  if (worker.open) open_workers_.erase({worker.open_load, worker.serial, &worker});
  const std::size_t has = worker.tasks.size() + worker.strays.size();
  worker.open = worker.state == WorkerState::ready && has < credit(worker);
  worker.open_load = has * 1024 / std::max(worker.hello.slots, 1U);
  if (worker.open) open_workers_.emplace(worker.open_load, worker.serial, &worker);
}

void Scheduler::update_contender(Session& session) {
  const bool contends =
      session.queued > 0 && session.waiting_bytes < backlog_max() && session.state != SessionState::ending;
  if (contends == session.contending) return;
  session.contending = contends;
  if (contends) {
    session.slot_us = std::max(session.slot_us, fair_clock_);  // no credit for time spent idle
    contenders_.insert(turn_of(session));
  } else {
    contenders_.erase(turn_of(session));
  }
}

void Scheduler::use_slot_time(Session& session, double us) {
  if (session.contending) contenders_.erase(turn_of(session));
  session.slot_us += us;
  if (session.contending) contenders_.insert(turn_of(session));
}

/// Nothing is queued: tasks that wait behind others on one worker can go to an idle one. Those that
/// have waited no longer than a prefetch takes are about to start and stay.
void Scheduler::rebalance() {
  std::size_t idle = 0;
  for (const auto& [load, serial, worker] : open_workers_) {
    if (worker->tasks.size() < worker->hello.slots) idle += worker->hello.slots - worker->tasks.size();
  }
  if (idle == 0) return;
  const Duration patience = settings_.prefetch * 5;
  bool waiting = false;
  for (auto& [id, worker] : workers_) {
    if (worker->state != WorkerState::ready || worker->tasks.size() <= worker->hello.slots) continue;
    waiting = true;
    if (now_ < worker->retract_again) continue;
    std::size_t spare = std::min(worker->tasks.size() - worker->hello.slots, idle);
    for (Task* task = worker->tasks.back(); task != nullptr && spare > 0; task = TaskList::before(*task)) {
      if (task->state != TaskState::assigned || now_ - task->since < patience) continue;
      const Placement& placement = *task->spec->queue->placement;
      const bool wanted = std::any_of(open_workers_.begin(), open_workers_.end(), [&](const auto& entry) {
        const Worker& other = *std::get<2>(entry);
        return other.tasks.size() < other.hello.slots && fits_now(other, placement);
      });
      if (!wanted) continue;
      revoke(*task, wire::RevokeMode::retract);
      worker->retract_again = now_ + patience * 5;
      --spare;
      --idle;
    }
  }
  if (waiting && !rebalance_planned_) {
    rebalance_planned_ = true;
    start_timer(now_ + patience, TimerKind::rebalance, {});
  }
}

// ---- why not ----

std::string Scheduler::explain(const Placement& placement) const {
  if (workers_.empty()) return "no worker has joined";
  if (std::any_of(workers_.begin(), workers_.end(),
                  [&](const auto& entry) { return could_run(*entry.second, placement); })) {
    return "";
  }
  std::vector<std::string> names;
  bool named = placement.workers.empty();
  for (const auto& [id, worker] : workers_) {
    names.push_back(worker->hello.name);
    for (const std::string& name : placement.workers) named = named || worker->is_called(name);
  }
  std::sort(names.begin(), names.end());
  if (names.size() > 8) names.resize(8);
  if (!named) {
    return fmt::format("it may run on {} only, and the workers here are {}",
                       fmt::join(placement.workers, ", "), fmt::join(names, ", "));
  }
  for (const auto& [resource, amount] : placement.resources) {
    double most = 0;
    for (const auto& [id, worker] : workers_) {
      const auto has = worker->hello.resources.find(resource);
      if (has != worker->hello.resources.end()) most = std::max(most, has->second);
    }
    if (most < amount)
      return fmt::format("it needs {}={}, and the most that a worker here has is {}", resource, amount, most);
  }
  if (!placement.program.empty() && std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
        return entry.second->cannot_start.contains(placement.program);
      })) {
    return "its program does not start on the workers that it may use";
  }
  return fmt::format("no worker here meets all of its constraints (or those that do are leaving): {}",
                     fmt::join(names, ", "));
}

void Scheduler::explain_waiting() {
  next_explain_ = now_ + settings_.explain_after;
  for (auto& [id, worker] : workers_) watch_worker(*worker);
  for (auto& [id, session] : sessions_) {
    for (ReadyQueue* queue : session->order) {
      std::string reason;
      if (!queue->tasks.empty() && now_ - queue->tasks.front()->since >= settings_.explain_after / 2) {
        reason = why_waiting(*session, *queue);
      }
      if (!reason.empty() && reason != queue->explained) {
        log(Log::Level::warning,
            fmt::format("{} tasks of {} wait: {}", queue->tasks.size(), session->name, reason));
      }
      queue->explained = std::move(reason);
    }
  }
}

}  // namespace weft::broker
