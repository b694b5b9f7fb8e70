// SPDX-License-Identifier: MIT
// Replay reads the records of the journal into the tables when a broker starts. Reading a record twice
// changes nothing, since a row may be written again after the journal was rewritten. An object of it lives
// for this one event.
#pragma once

#include "broker/scheduler/events.hpp"
#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/session_presence.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Replay {
 public:
  Replay(const Settings& settings, Tables& tables, Lifecycle& lifecycle, SessionPresence& sessions)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle), sessions_(sessions) {}

  /// Tasks that are open wait for a worker to claim them, answers to be fetched. The journal is rewritten.
  void run(const Recovered& event);

 private:
  void apply(const SessionRecord& record);
  void apply(const SpecRecord& record);
  void apply(const TaskRecord& record);
  void apply(const ChargeRecord& record);
  void apply(const FinalRecord& record);
  void apply(const GoneRecord& record);

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  SessionPresence& sessions_;
};

}  // namespace weft::broker
