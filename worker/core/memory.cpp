// SPDX-License-Identifier: MIT
// WorkerCore when memory is short: it holds, which is backpressure to the broker. Running tasks go on, tasks
// that have not started are returned, and idle runners are replaced, since they may retain what their tasks
// allocated.
#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

constexpr std::uint8_t kHoldMinor = 3;  // an older broker would immediately assign the returned tasks again

}  // namespace

void WorkerCore::on(const MemoryUsed& memory) {
  switch (hold_.on_memory(now_, memory, tasks_.empty() && runners_.empty())) {
    case MemoryHold::Change::began:
      begin_hold();
      break;
    case MemoryHold::Change::ended:
      notify({.kind = NoticeKind::memory_enough});
      send(hold_.heartbeat());
      break;
    case MemoryHold::Change::one_task:
      notify({.kind = NoticeKind::memory_one_task, .detail = hold_.reason()});
      send(hold_.heartbeat());
      break;
    case MemoryHold::Change::none:
      break;
  }
  if (!hold_.holds()) return;
  for (auto& [id, runner] : runners_)
    if (runner.idle()) end(runner);
}

void WorkerCore::begin_hold() {
  notify({.kind = NoticeKind::memory_short,
          .detail = hold_.reason(),
          .numbers = {static_cast<std::uint64_t>(settings_.memory_hold.below * 100 + 0.5)}});
  send(hold_.heartbeat());
  if (!presence_.joined() || presence_.broker_minor() < kHoldMinor) return;
  for (Task* task : tasks_in_order())
    if (task->stage != TaskStage::in_runner) give_back(*task);
}

}  // namespace weft::worker
