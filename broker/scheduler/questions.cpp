// SPDX-License-Identifier: MIT
#include "broker/scheduler/questions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <variant>

#include "broker/scheduler/senders.hpp"

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

/// The label of the tasks in `queue`, or the number of labels if there are several.
std::string label_of(const Session& session, const ReadyQueue& queue) {
  std::set<std::string> labels;
  for (const auto& [number, spec] : session.specs) {
    if (spec->queue == &queue && spec->open_tasks > 0) labels.insert(spec->content.label);
  }
  return labels.size() == 1 ? *labels.begin() : fmt::format("{} labels", labels.size());
}

}  // namespace

void Questions::answer(const Received& event) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (QuestionMessages::has<M>) tables_.step.send(event.peer, reply(event, m));
      },
      event.message);
}

wire::Status Questions::reply(const Received& /*event*/, const wire::StatusRequest& question) const {
  return status(question.details);
}

wire::Found Questions::reply(const Received& event, const wire::Find& question) const {
  return tables_.attachments.find(identity_of(event.identity), question, event.minor);
}

wire::Answer Questions::reply(const Received& /*event*/, const wire::Why& question) const {
  return explainer_.why(question.task);
}

wire::Answer Questions::reply(const Received& /*event*/, const wire::DrainWorker& question) {
  const std::string& name = question.worker;
  const Worker* const worker = tables_.roster.find_worker_called(name);
  if (worker == nullptr) {
    std::vector<std::string> names;
    for (const auto& [other, of] : tables_.roster.names()) names.push_back(other);
    std::sort(names.begin(), names.end());
    return {false, names.empty() ? fmt::format("no worker is called '{}': none has joined", name)
                                 : fmt::format("no worker is called '{}': the workers here are {}", name,
                                               fmt::join(names, ", "))};
  }
  if (worker->peer == kNoPeer)
    return {false, fmt::format("worker {} is not connected: it is lost, or about to come back", name)};
  tables_.step.send(worker->peer, wire::Leave{});
  return {true, fmt::format("worker {} was told to leave; {} tasks are there, and those that run may finish",
                            name, worker->tasks.size())};
}

wire::Status Questions::status(bool details) const {
  const auto ms = [](Duration d) { return static_cast<std::uint64_t>(d.count() / 1000); };
  wire::Status status;
  status.version = settings_.version;
  status.epoch = settings_.epoch;
  status.uptime_ms = ms(tables_.step.now() - tables_.step.started());
  status.finished = lifecycle_.finished();
  status.queued_bytes = tables_.roster.queued_bytes();
  for (const auto& [id, worker] : tables_.roster.workers()) {
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
    const Peer* const peer = tables_.roster.peers().find(worker->peer);
    status.worker_list.push_back({worker->hello.name, worker->hello.host, worker->hello.pid, state, slots,
                                  running, worker->tasks.size(), worker->hello.resources,
                                  worker->resources_free, worker->finished,
                                  peer != nullptr ? ms(tables_.step.now() - peer->heard) : 0, worker->note});
  }
  for (const auto& [id, session] : tables_.roster.sessions()) {
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
    for (const auto& [when, notice] : sessions_.departed())
      status.departed.push_back(
          fmt::format("{} s ago: {}", ms(tables_.step.now() - when) / 1000, text_of(notice)));
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(status.worker_list.begin(), status.worker_list.end(), by_name);
  std::sort(status.client_list.begin(), status.client_list.end(), by_name);
  return status;
}

}  // namespace weft::broker
