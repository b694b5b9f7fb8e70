// SPDX-License-Identifier: MIT
// What the scheduler says of itself, to people and to tests.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "broker/scheduler.hpp"

namespace weft::broker {

namespace {

const char* name_of(const Session& session) {
  switch (session.state) {
    case SessionState::connected:
      return "connected";
    case SessionState::silent:
      return "silent";
    case SessionState::lost:
      return session.met ? "lost" : "detached";  // the journal has it, and its client may be gone for long
    case SessionState::ending:
      return "leaving";
    case SessionState::detached:
      return "detached";
  }
  return "?";
}

/// That of the tasks in `queue`, or how many there are.
std::string label_of(const Session& session, const ReadyQueue& queue) {
  std::set<std::string> labels;
  for (const auto& [number, spec] : session.specs) {
    if (spec->queue == &queue && spec->open_tasks > 0) labels.insert(spec->content.label);
  }
  return labels.size() == 1 ? *labels.begin() : fmt::format("{} labels", labels.size());
}

}  // namespace

// ---- status ----

wire::Status Scheduler::status(bool details) const {
  const auto ms = [](Duration d) { return static_cast<std::uint64_t>(d.count() / 1000); };
  wire::Status status;
  status.version = settings_.version;
  status.epoch = settings_.epoch;
  status.uptime_ms = ms(now_ - started_);
  status.finished = finished_;
  status.queued_bytes = queued_bytes_;
  for (const auto& [id, worker] : workers_) {
    const auto slots = worker->slots;
    const auto running = static_cast<std::uint32_t>(std::min<std::size_t>(worker->load(), slots));
    ++status.workers;
    status.slots += slots;
    status.slots_busy += running;
    status.assigned += worker->tasks.size();
    if (!details) continue;
    const char* state = running > 0 ? "busy" : "idle";
    if (worker->state == WorkerState::draining) state = "draining";
    if (worker->state == WorkerState::lost) state = "lost";
    const Peer* const peer = peers_.find(worker->peer);
    status.worker_list.push_back({worker->hello.name, worker->hello.host, worker->hello.pid, state, slots,
                                  running, worker->tasks.size(), worker->hello.resources,
                                  worker->resources_free, worker->finished,
                                  peer != nullptr ? ms(now_ - peer->heard) : 0, worker->note});
  }
  for (const auto& [id, session] : sessions_) {
    const std::size_t waiting =
        session->queued + session->delayed.size() + session->awaiting.size() + session->saving.size();
    status.clients += session->state != SessionState::detached && (session->met || session->peer != kNoPeer);
    status.queued += waiting;
    if (!details) continue;
    status.client_list.push_back({session->name, session->host, session->id.text(8), name_of(*session),
                                  waiting, session->tasks.size() - waiting, session->finished});
    for (const ReadyQueue* queue : session->order) {
      if (queue->empty()) continue;
      const std::string reason = why_waiting(*session, *queue);
      if (reason.empty()) continue;
      status.waiting_list.push_back({session->name, label_of(*session, *queue), queue->size(), reason});
    }
  }
  if (details) {
    for (const auto& [when, text] : departed_)
      status.departed.push_back(fmt::format("{} s ago: {}", ms(now_ - when) / 1000, text));
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(status.worker_list.begin(), status.worker_list.end(), by_name);
  std::sort(status.client_list.begin(), status.client_list.end(), by_name);
  return status;
}

// ---- invariants ----

void Scheduler::check_invariants() const {
  std::size_t bytes = 0;
  std::size_t failed = 0;
  for (const auto& [id, session] : sessions_) {
    std::size_t queued = 0;
    std::size_t own_bytes = 0;
    session->tasks.for_each([&, session = session.get()](std::uint64_t seq, const Task& task) {
      own_bytes += task.payload.size();
      const bool has_worker = task.state == TaskState::assigned || task.state == TaskState::running ||
                              task.state == TaskState::cancelling;
      WEFT_CHECK(has_worker == task.with_worker());
      WEFT_CHECK(task.seq == seq && task.session == session &&
                 (seq <= session->received || task.spec->content.detach));
      if (has_worker) WEFT_CHECK(task.worker->tasks.contains(task));
      if (task.failed) {
        ++failed;
        WEFT_CHECK(failed_on_.contains(TaskId{session->id, seq}));
      }
      if (task.state == TaskState::queued) {
        ++queued;
        WEFT_CHECK(task.spec->queue->contains(task));
        WEFT_CHECK(!is_large(task) || task.spec->queue->retries.contains(task));
      }
      if (task.state == TaskState::delayed) WEFT_CHECK(session->delayed.contains(task));
      if (task.state == TaskState::saving) {
        WEFT_CHECK(session->saving.contains(task) && session->detached.contains(seq));
      }
      if (task.state == TaskState::awaiting) WEFT_CHECK(session->awaiting.contains(task));
    });
    for (const auto& [seq, entry] : session->detached) {
      own_bytes += entry.answer.payload.size();
      const bool open = entry.phase == Detached::Phase::saving || entry.phase == Detached::Phase::open;
      WEFT_CHECK(!open || session->tasks.contains(seq));
      WEFT_CHECK(entry.phase == Detached::Phase::saving || entry.recorded);
      const bool accepted = entry.phase == Detached::Phase::open || entry.phase == Detached::Phase::finished;
      WEFT_CHECK(entry.journaled ? entry.recorded : !accepted);
    }
    WEFT_CHECK(queued == session->queued);
    WEFT_CHECK(own_bytes == session->queued_bytes);
    turns_.check_invariants(session->turn);
    session->deliveries.check_invariants();
    bytes += own_bytes;
  }
  WEFT_CHECK(bytes == queued_bytes_);
  WEFT_CHECK(failed == failed_on_.size());
  journal_queue_.check_invariants();
  blob_vault_.check_invariants();
  for (const auto& [id, worker] : workers_) {
    WEFT_CHECK(!worker->avoided || worker->avoided_until >= now_);
    WEFT_CHECK((worker->open.level != LoadPlace::kNowhere) == has_room(*worker));
    WEFT_CHECK(worker->outgoing.tasks.empty());
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
        adopted = adopted || task->adopted;
      }
      const auto total = worker->hello.resources.find(name);
      const double has = total != worker->hello.resources.end() ? total->second : 0;
      WEFT_CHECK(std::abs(has - used - free) < 1e-6);
      WEFT_CHECK(adopted || free > -1e-6);
    }
  }
  peers_.for_each([](PeerId id, const Peer& peer) {
    WEFT_CHECK((peer.session != nullptr) != (peer.worker != nullptr));
    WEFT_CHECK(peer.session == nullptr || peer.session->peer == id);
    WEFT_CHECK(peer.worker == nullptr || peer.worker->peer == id);
  });
}

}  // namespace weft::broker
