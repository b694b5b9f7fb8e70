// SPDX-License-Identifier: MIT
// What the scheduler says of itself, to people and to tests.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "broker/scheduler/scheduler.hpp"

namespace weft::broker {

namespace {

const char* name_of(const Session& session) {
  switch (session.state) {
    case SessionState::connected:
      return "connected";
    case SessionState::silent:
      return "silent";
    case SessionState::lost:
      return session.handshake_confirmed
                 ? "lost"
                 : "detached";  // the journal has it, and its client may be gone for long
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
  status.uptime_ms = ms(step_.now() - step_.started());
  status.finished = lifecycle_.finished();
  status.queued_bytes = roster_.queued_bytes();
  for (const auto& [id, worker] : roster_.workers()) {
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
    const Peer* const peer = roster_.peers().find(worker->peer);
    status.worker_list.push_back({worker->hello.name, worker->hello.host, worker->hello.pid, state, slots,
                                  running, worker->tasks.size(), worker->hello.resources,
                                  worker->resources_free, worker->finished,
                                  peer != nullptr ? ms(step_.now() - peer->heard) : 0, worker->note});
  }
  for (const auto& [id, session] : roster_.sessions()) {
    const std::size_t waiting =
        session->queued + session->delayed.size() + session->awaiting.size() + session->saving.size();
    status.clients += session->state != SessionState::detached &&
                      (session->handshake_confirmed || session->peer != kNoPeer);
    status.queued += waiting;
    if (!details) continue;
    status.client_list.push_back({session->name, session->host, session->id.text(8), name_of(*session),
                                  waiting, session->tasks.size() - waiting, session->finished});
    for (const ReadyQueue* queue : session->order) {
      if (queue->empty()) continue;
      const std::string reason = explainer_.why_waiting(*session, *queue);
      if (reason.empty()) continue;
      status.waiting_list.push_back({session->name, label_of(*session, *queue), queue->size(), reason});
    }
  }
  if (details) {
    for (const auto& [when, text] : departed_)
      status.departed.push_back(fmt::format("{} s ago: {}", ms(step_.now() - when) / 1000, text));
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(status.worker_list.begin(), status.worker_list.end(), by_name);
  std::sort(status.client_list.begin(), status.client_list.end(), by_name);
  return status;
}

// ---- invariants ----

void Scheduler::check_invariants() const {
  roster_.check_invariants();
  fair_queue_.check_invariants();
  placer_.check_invariants();
  journal_queue_.check_invariants();
  blob_vault_.check_invariants();
  durable_.check_invariants();
  lifecycle_.check_invariants();
  for (const auto& [id, worker] : roster_.workers()) {
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
