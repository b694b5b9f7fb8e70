// SPDX-License-Identifier: MIT
// Questions: answers the requests of `weft` (status, find, drain, why), which need no HELLO. Only `drain`
// changes anything: it asks a worker to leave.
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

  /// REQUIRES: the message of `event` is one of QuestionMessages.
  void answer(const Received& event);
  /// The content of `weft status`; with `details` each worker, client and queue too.
  wire::Status status(bool details) const;

 private:
  wire::Status reply(const Received& event, const wire::StatusRequest& question) const;
  wire::Found reply(const Received& event, const wire::Find& question) const;
  wire::Answer reply(const Received& event, const wire::DrainWorker& question);
  wire::Answer reply(const Received& event, const wire::Why& question) const;

  const Settings& settings_;
  Tables& tables_;
  const Lifecycle& lifecycle_;
  const SessionPresence& sessions_;
  const Explainer& explainer_;
};

}  // namespace weft::broker
