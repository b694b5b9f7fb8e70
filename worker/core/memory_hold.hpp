// SPDX-License-Identifier: MIT
// MemoryHold: whether a worker is so short of memory that it accepts no new tasks. A hold is backpressure to
// the broker; it has hysteresis, so that a worker near the limit does not flap.
#pragma once

#include <optional>
#include <string>

#include "common/base/time.hpp"
#include "common/wire/messages.hpp"
#include "worker/core/events.hpp"

namespace weft::worker {

/// A part of MemoryHold.
struct Hold {
  std::string reason;
  double part = 0;                 // fraction of the memory in use, as `reason` states it
  std::uint32_t slots = 0;         // of tasks that the worker accepts nevertheless
  std::optional<Time> idle_since;  // since then there has been neither a task nor a runner
};

class MemoryHold {
 public:
  struct Settings {
    double above = 0.9;   // the fraction of memory in use above which the worker holds,
    double below = 0.85;  // and below which it accepts tasks again
    // Holding with neither a task nor a runner here; then it accepts one task at a time: other processes on
    // this machine use the memory, and waiting for them could take for ever.
    Duration patience = std::chrono::seconds(5);
  };
  enum class Change : std::uint8_t { none, began, ended, one_task };

  explicit MemoryHold(const Settings& settings) : settings_(settings) {}

  /// `idle`: the worker has neither a task nor a runner.
  Change on_memory(Time now, const MemoryUsed& memory, bool idle);

  bool holds() const { return hold_.has_value(); }
  /// "it has used 93 % of its memory"; "" while it does not hold.
  std::string reason() const { return hold_ ? hold_->reason : std::string(); }
  wire::Heartbeat heartbeat() const;

 private:
  bool is_short(double part) const;
  void explain(double part, const MemoryUsed& memory);
  bool has_waited_enough(Time now, bool idle);

  Settings settings_;
  std::optional<Hold> hold_;
};

}  // namespace weft::worker
