// SPDX-License-Identifier: MIT
// Replay reads the records of the journal (write-ahead log) into the tables when a broker starts. Applying a
// record twice changes nothing (replay is idempotent), since a row may be written again after the journal was
// rewritten. A Replay object is used for one event.
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

  /// Afterwards open tasks wait for a worker to claim them, answers wait to be fetched, and the journal is
  /// rewritten.
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
