// SPDX-License-Identifier: MIT
// Questions: what people ask by way of `weft` (status, find, drain, why), and the answers. Needs no HELLO.
// Changes nothing but that it asks a worker to leave.
#pragma once

#include <cstdint>

#include "broker/scheduler/explainer.hpp"
#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/session_presence.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Questions {
 public:
  Questions(const Settings& settings, Tables& tables, const Lifecycle& lifecycle,
            const SessionPresence& sessions, const Explainer& explainer)
      : settings_(settings),
        tables_(tables),
        lifecycle_(lifecycle),
        sessions_(sessions),
        explainer_(explainer) {}

  /// Answers one of QuestionMessages. `minor` is the version of the peer.
  void answer(PeerId peer, const wire::Message& question, std::uint8_t minor);
  /// What `weft status` shows; with `details` each worker, client and queue.
  wire::Status status(bool details) const;

 private:
  wire::Status reply(const wire::StatusRequest& question, std::uint8_t minor) const;
  wire::Found reply(const wire::Find& question, std::uint8_t minor) const;
  wire::Answer reply(const wire::DrainWorker& question, std::uint8_t minor);
  wire::Answer reply(const wire::Why& question, std::uint8_t minor) const;

  const Settings& settings_;
  Tables& tables_;
  const Lifecycle& lifecycle_;
  const SessionPresence& sessions_;
  const Explainer& explainer_;
};

}  // namespace weft::broker
