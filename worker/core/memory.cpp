// SPDX-License-Identifier: MIT
// WorkerCore when memory is short: the worker holds, which is backpressure on the broker. Running tasks go
// on, tasks that have not started are returned, and idle runners are ended, since they may retain what their
// tasks allocated.
#include <fmt/format.h>

#include <cmath>

#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

constexpr double kNewReason = 0.05;     // change of the fraction in use after which the broker is told again
constexpr std::uint8_t kHoldMinor = 3;  // an older broker would immediately assign the returned tasks again

}  // namespace

void WorkerCore::on(const MemoryUsed& memory) {
  const double part = static_cast<double>(memory.used) / static_cast<double>(memory.limit);
  // A worker that accepts one task at a time because others use the memory leaves the hold at hold_above,
  // where it entered: waiting for hold_below would not help.
  const bool waits = hold_ && hold_->slots == 0;
  if (waits ? part < settings_.hold_below : part <= settings_.hold_above) return end_hold();
  if (!hold_) begin_hold(memory);
  // Not at every change, since the broker logs each new reason.
  if (std::abs(part - hold_->part) >= kNewReason) explain_hold(memory);
  for (auto& [id, runner] : runners_)
    if (runner.idle()) end(runner);
  wait_for_memory();
}

void WorkerCore::explain_hold(const MemoryUsed& memory) {
  hold_->part = static_cast<double>(memory.used) / static_cast<double>(memory.limit);
  hold_->reason = fmt::format("it has used {:.0f} % of {}", hold_->part * 100, memory.of);
}

void WorkerCore::begin_hold(const MemoryUsed& memory) {
  hold_.emplace();
  explain_hold(memory);
  notify({.kind = NoticeKind::memory_short,
          .detail = hold_->reason,
          .numbers = {static_cast<std::uint64_t>(settings_.hold_below * 100 + 0.5)}});
  say_hold();
  if (!presence_.joined() || presence_.broker_minor() < kHoldMinor) return;
  for (Task* task : tasks_in_order())
    if (task->stage != TaskStage::in_runner) give_back(*task);
}

void WorkerCore::end_hold() {
  if (!hold_) return;
  hold_.reset();
  notify({.kind = NoticeKind::memory_enough});
  say_hold();
}

/// Starvation guard: without tasks and runners this worker has no memory to free, and the processes that use
/// it may run for ever. So after hold_patience the worker accepts one task at a time.
void WorkerCore::wait_for_memory() {
  if (!tasks_.empty() || !runners_.empty()) return hold_->idle_since.reset();
  if (!hold_->idle_since) hold_->idle_since = now_;
  if (hold_->slots > 0 || now_ - *hold_->idle_since < settings_.hold_patience) return;
  hold_->slots = 1;
  notify({.kind = NoticeKind::memory_one_task, .detail = hold_->reason});
  say_hold();
}

void WorkerCore::say_hold() { send(heartbeat()); }

wire::Heartbeat WorkerCore::heartbeat() const {
  return hold_ ? wire::Heartbeat{hold_->reason, hold_->slots} : wire::Heartbeat{};
}

}  // namespace weft::worker
