// SPDX-License-Identifier: MIT
// Heartbeats: twice in each heartbeat_interval, sends HEARTBEAT to the peers to which nothing was sent for an
// interval, and finds the peers that have been silent for heartbeat_liveness intervals.
#pragma once

#include <vector>

#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class Heartbeats {
 public:
  Heartbeats(const Settings& settings, Tables& tables)
      : settings_(settings),
        tables_(tables),
        next_scan_(tables.step.now() + settings.heartbeat_interval / 2) {}

  bool is_due() const { return tables_.step.now() >= next_scan_; }
  /// The time from which is_due() holds.
  Time deadline() const { return next_scan_; }
  /// Sends the heartbeats that are due. Returns the peers that have been silent for silence_max(), except
  /// clients whose state is `silent` already.
  std::vector<PeerId> scan();
  Duration silence_max() const { return settings_.heartbeat_interval * settings_.heartbeat_liveness; }

 private:
  const Settings& settings_;
  Tables& tables_;
  Time next_scan_;
};

}  // namespace weft::broker
