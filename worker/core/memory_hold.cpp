// SPDX-License-Identifier: MIT
#include "worker/core/memory_hold.hpp"

#include <fmt/format.h>

#include <cmath>

namespace weft::worker {

namespace {

constexpr double kNewReason = 0.05;  // not for every percent, since the broker logs each new reason

}  // namespace

MemoryHold::Change MemoryHold::on_memory(Time now, const MemoryUsed& memory, bool idle) {
  const double part = static_cast<double>(memory.used) / static_cast<double>(memory.limit);
  if (!is_short(part)) {
    const bool held = holds();
    hold_.reset();
    return held ? Change::ended : Change::none;
  }
  const bool begins = !holds();
  if (begins) hold_.emplace();
  if (begins || std::abs(part - hold_->part) >= kNewReason) explain(part, memory);
  const bool one_task = has_waited_enough(now, idle);
  if (one_task) hold_->slots = 1;
  if (begins) return Change::began;
  return one_task ? Change::one_task : Change::none;
}

/// A worker that accepts one task at a time, because others use the memory, leaves the hold at `above`, where
/// it entered: waiting for `below` would not help.
bool MemoryHold::is_short(double part) const {
  const bool waits = hold_ && hold_->slots == 0;
  return waits ? part >= settings_.below : part > settings_.above;
}

void MemoryHold::explain(double part, const MemoryUsed& memory) {
  hold_->part = part;
  hold_->reason = fmt::format("it has used {:.0f} % of {}", part * 100, memory.of);
}

bool MemoryHold::has_waited_enough(Time now, bool idle) {
  if (!idle) {
    hold_->idle_since.reset();
    return false;
  }
  if (!hold_->idle_since) hold_->idle_since = now;
  return hold_->slots == 0 && now - *hold_->idle_since >= settings_.patience;
}

wire::Heartbeat MemoryHold::heartbeat() const {
  return hold_ ? wire::Heartbeat{hold_->reason, hold_->slots} : wire::Heartbeat{};
}

}  // namespace weft::worker
