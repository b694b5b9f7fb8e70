// SPDX-License-Identifier: MIT
#include "broker/scheduler/explainer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/quantity.hpp"

namespace weft::broker {

namespace {

double seconds_of(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

wire::Answer Explainer::why(const std::string& text) const {
  const std::size_t dash = text.rfind('-');
  std::uint64_t seq = 0;
  const char* end = text.data() + text.size();
  if (dash == std::string::npos || dash == 0 ||
      std::from_chars(text.data() + dash + 1, end, seq).ptr != end || seq == 0) {
    return {false, fmt::format("'{}' is not the name of a task: those look like 3f2a91c0-17", text)};
  }
  const std::string prefix = text.substr(0, dash);
  std::vector<const Session*> sessions;
  for (const auto& [id, session] : tables_.roster.sessions()) {
    if (id.text().starts_with(prefix)) sessions.push_back(session.get());
  }
  if (sessions.empty())
    return {false, fmt::format("no client here has a session that begins with {}: see weft status", prefix)};
  if (sessions.size() > 1)
    return {false, fmt::format("{} sessions here begin with {}: give more digits", sessions.size(), prefix)};
  const Session& session = *sessions.front();
  if (const Task* task = session.tasks.find(seq)) return {true, why_here(session, *task)};
  if (const auto kept = session.detached.find(seq); kept != session.detached.end())
    return {true, "it is finished: its answer is kept until somebody fetches it"};
  if (const auto watched = session.watches.find(seq); watched != session.watches.end())
    return {true, fmt::format("it is the answer of detached task {}: ask why that is where it is",
                              watched->second.text())};
  return {false, seq <= session.received ? "it is answered, and nothing of it is left here"
                                         : "it has not arrived here"};
}

std::string Explainer::why_here(const Session& session, const Task& task) const {
  const double age = seconds_of(tables_.step.now() - task.since);
  switch (task.state) {
    case TaskState::queued: {
      const ReadyQueue& queue = *task.spec->queue;
      if (const std::string reason = why_waiting(session, queue); !reason.empty())
        return "it waits: " + reason;
      std::string reason;
      if (task.failed) {
        reason = fmt::format("it failed on {}, and has been waiting for {:.1f} s for another worker",
                             failed_where(task), age);
      } else if (queue.retries.contains(task)) {
        reason = fmt::format(
            "it has been waiting for {:.1f} s for a worker with the memory for its argument of {}", age,
            format_bytes(task.payload.blob().size));
      } else {
        std::size_t before = queue.retries.size();
        for (const Task* other = queue.tasks.front(); other != &task; other = TaskList::after(*other))
          ++before;
        reason = fmt::format(
            "it has been waiting for a free slot for {:.1f} s: {} tasks of its kind are before it", age,
            before);
      }
      for (const auto& [id, worker] : tables_.roster.workers()) {
        if (!tables_.eligibility.may_ever_run(*worker, *queue.placement)) continue;
        if (worker->avoided || worker->holds)
          reason += fmt::format(
              "; worker {}: {}", worker->hello.name,
              worker->avoided ? tables_.health.why_avoided(*worker) : Eligibility::why_held(worker->hold));
      }
      return reason;
    }
    case TaskState::delayed:
      return fmt::format("it failed, and is tried again in {:.1f} s (its retry_delay)",
                         seconds_of(task.due - tables_.step.now()));
    case TaskState::saving:
      return tables_.journal_queue.fault().empty()
                 ? "it is detached, and it or its result is on the way into the journal"
                 : "it is detached, and the journal cannot be written: " + tables_.journal_queue.fault();
    case TaskState::awaiting:
      return fmt::format("the broker was started {:.1f} s ago: a worker that runs it may still say so",
                         seconds_of(tables_.step.now() - tables_.step.started()));
    case TaskState::assigned:
      return fmt::format(
          "it has been with worker {} for {:.1f} s, waiting for a runner, its program or its argument{}",
          task.worker->hello.name, age,
          task.worker->note.empty() ? "" : "; that worker: " + task.worker->note);
    case TaskState::running:
      return fmt::format("it has been running on worker {} for {:.1f} s", task.worker->hello.name, age);
    case TaskState::cancelling:
      return fmt::format("it is cancelled; worker {} has been stopping it for {:.1f} s",
                         task.worker->hello.name, age);
  }
  return "";
}

/// The present workers on which the task has failed.
std::string Explainer::failed_where(const Task& task) const {
  std::vector<std::string> names;
  for (const auto& [name, worker] : tables_.roster.names()) {
    if (tables_.placer.failed_on(task, *worker)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "a worker that has left" : fmt::format("{}", fmt::join(names, ", "));
}

/// Why the tasks in `queue` wait, when that is not for want of a free slot alone.
std::string Explainer::why_waiting(const Session& session, const ReadyQueue& queue) const {
  if (session.away() && !queue.placement->detach) {
    return fmt::format("{} of its client: nothing new starts until it is back, for which it has {:.0f} s",
                       session.state == SessionState::silent ? "nothing is heard" : "the connection is lost",
                       seconds_of(session.grace_ends - tables_.step.now()));
  }
  if (std::string reason = tables_.eligibility.explain(*queue.placement); !reason.empty()) return reason;
  if (std::string reason = tables_.eligibility.why_held(*queue.placement); !reason.empty()) return reason;
  if (session.deliveries.bytes() >= tables_.fair_queue.backlog_max()) {
    return fmt::format("its client has {:.0f} MiB of results to fetch first",
                       static_cast<double>(session.deliveries.bytes()) / (1 << 20));
  }
  const Task* oldest = queue.tasks.front();
  if (oldest == nullptr || tables_.step.now() - oldest->since < settings_.stall_after) return "";
  const Worker* worker = tables_.placer.open_worker_for(*queue.placement);
  if (worker == nullptr) return "";
  return fmt::format("this is a fault of the broker: task {} has waited {:.0f} s though worker {} has room",
                     TaskId{session.id, oldest->seq}.text(), seconds_of(tables_.step.now() - oldest->since),
                     worker->hello.name);
}

/// Watchdog: notes when a worker has tasks and makes no progress.
void Explainer::watch_worker(Worker& worker) {
  std::string note =
      worker.avoided ? tables_.health.why_avoided(worker) : tables_.eligibility.why_held(worker.hold);
  if (!worker.avoided && worker.state == WorkerState::ready &&
      tables_.step.now() - worker.progressed >= settings_.stall_after) {
    const Task* idle = nullptr;
    bool runs = false;
    for (const Task* task = worker.tasks.front(); task != nullptr; task = TaskList::after(*task)) {
      runs = runs || task->state == TaskState::running;
      const bool late = tables_.step.now() - task->since >= settings_.stall_after;
      if (late && task->state == TaskState::cancelling) {
        note = fmt::format("it was told {:.0f} s ago to stop task {} and has not said that it did",
                           seconds_of(tables_.step.now() - task->since),
                           TaskId{task->session->id, task->seq}.text());
        break;
      }
      if (late && idle == nullptr) idle = task;
    }
    if (note.empty() && !runs && idle != nullptr) {
      note = fmt::format("it has {} tasks and has started none for {:.0f} s, the oldest is {}",
                         worker.tasks.size(), seconds_of(tables_.step.now() - worker.progressed),
                         TaskId{idle->session->id, idle->seq}.text());
    }
  }
  if (!note.empty() && worker.note.empty())
    tables_.step.notify({.kind = NoticeKind::worker_stalled, .name = worker.hello.name, .detail = note});
  worker.note = std::move(note);
}

void Explainer::log_waiting() {
  next_log_ = tables_.step.now() + settings_.explain_after;
  for (auto& [id, worker] : tables_.roster.workers()) watch_worker(*worker);
  for (auto& [id, session] : tables_.roster.sessions()) {
    for (ReadyQueue* queue : session->order) {
      std::string reason;
      if (!queue->empty() && tables_.step.now() - queue->front()->since >= settings_.explain_after / 2) {
        reason = why_waiting(*session, *queue);
      }
      if (!reason.empty() && reason != queue->explained) {
        tables_.step.notify({.kind = NoticeKind::tasks_wait,
                             .name = session->name,
                             .detail = reason,
                             .numbers = {queue->size()}});
      }
      queue->explained = std::move(reason);
    }
  }
}

}  // namespace weft::broker
