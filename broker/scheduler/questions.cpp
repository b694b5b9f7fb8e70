// SPDX-License-Identifier: MIT
// What people ask by way of `weft`, which needs no HELLO.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/scheduler/scheduler.hpp"

namespace weft::broker {

/// False: the message does not ask for an answer.
bool Scheduler::answer_question(PeerId peer, const wire::Message& message, std::uint8_t minor) {
  if (const auto* request = std::get_if<wire::StatusRequest>(&message)) {
    tables_.step.send(peer, status(request->details));
  } else if (const auto* find = std::get_if<wire::Find>(&message)) {
    tables_.attachments.answer_find(peer, *find, minor);
  } else if (const auto* wish = std::get_if<wire::DrainWorker>(&message)) {
    tables_.step.send(peer, drain(wish->worker));
  } else if (const auto* question = std::get_if<wire::Why>(&message)) {
    tables_.step.send(peer, explainer_.why(question->task));
  } else {
    return false;
  }
  return true;
}

wire::Answer Scheduler::drain(const std::string& name) {
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

}  // namespace weft::broker
