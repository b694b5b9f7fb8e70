// SPDX-License-Identifier: MIT
// Memory of workers. One that is short of it holds: it gets nothing new. An argument goes to no worker that
// has less memory than it takes. PROTOCOL.md section 6.
#include <fmt/format.h>

#include "broker/scheduler.hpp"
#include "common/byte_size.hpp"

namespace weft::broker {

// ---- workers that hold ----

void Scheduler::on(Worker& worker, const wire::Heartbeat& beat) {
  const bool held = worker.holds;
  if (!held && beat.hold.empty()) return;
  set_hold(worker, beat);
  if (!held) {
    step_.log(Log::Level::warning, fmt::format("worker {}: {}", worker.hello.name, worker.note));
  } else if (!worker.holds) {
    step_.log(Log::Level::info, fmt::format("worker {} takes tasks again", worker.hello.name));
  }
}

/// From now on its credit is what it says.
void Scheduler::set_hold(Worker& worker, const wire::Heartbeat& beat) {
  if (worker.holds || !beat.hold.empty()) worker.note = why_held(beat);
  worker.hold = beat;
  worker.holds = !beat.hold.empty();
  update_credit(worker);
  update_open(worker);
}

std::string Scheduler::why_held(const wire::Heartbeat& hold) {
  if (hold.hold.empty()) return "";
  return fmt::format("it takes {}: {}", hold.hold_slots == 0 ? "nothing new" : "one task at a time",
                     hold.hold);
}

/// All workers that could run it hold: why one of them does. "": one does not.
std::string Scheduler::why_held(const Placement& placement) const {
  const Worker* first = nullptr;
  std::size_t held = 0;
  for (const auto& [id, worker] : roster_.workers()) {
    if (!could_run(*worker, placement)) continue;
    if (!worker->holds) return "";
    ++held;
    if (first == nullptr || worker->hello.name < first->hello.name) first = worker.get();
  }
  if (first == nullptr) return "";
  const std::string others = held == 1 ? "" : fmt::format(" (so do {} more that could run it)", held - 1);
  return fmt::format("worker {}: {}{}", first->hello.name, why_held(first->hold), others);
}

// ---- large arguments ----

/// nullptr: some task with a small argument.
bool Scheduler::has_memory_for(const Task* task, const Worker& worker) {
  if (task == nullptr || worker.hello.memory == 0 || !task->payload.is_blob()) return true;
  return task->payload.blob().size <= worker.hello.memory;
}

void Scheduler::count_memory(std::uint64_t bytes, bool joins) {
  if (bytes == 0) return;  // not known
  std::size_t& alike = memories_[bytes];
  joins ? ++alike : --alike;
  if (alike == 0) memories_.erase(bytes);
  const std::uint64_t before = least_memory_;
  least_memory_ = memories_.empty() ? UINT64_MAX : memories_.begin()->first;
  if (least_memory_ < before) set_large_apart();
}

/// It waits with those that may not go everywhere.
void Scheduler::set_apart(Task& task) const {
  ReadyQueue& queue = *task.spec->queue;
  queue.retries.insert_by_seq_from_back(task);
  if (is_large(task)) queue.sized_for = 0;
}

/// A worker has less memory than all others: there may be arguments that are too large for this one alone.
void Scheduler::set_large_apart() {
  for (auto& [id, session] : roster_.sessions()) {
    for (ReadyQueue* queue : session->order) {
      for (Task* next = queue->tasks.front(); next != nullptr;) {
        Task& task = *next;
        next = TaskList::after(task);
        if (is_large(task)) set_apart(task);
      }
    }
  }
}

/// The worker with the most memory of those that could ever run it. nullptr: there is none, or it may be
/// about to come back.
const Worker* Scheduler::largest_for(const Placement& placement) const {
  if (adopting()) return nullptr;
  const Worker* largest = nullptr;
  for (const auto& [id, worker] : roster_.workers()) {
    if (!may_ever_run(*worker, placement) || !has_function(*worker, placement)) continue;
    if (worker->hello.memory == 0) return worker.get();
    if (largest == nullptr || worker->hello.memory > largest->hello.memory) largest = worker.get();
  }
  return largest;
}

/// Why no worker that could run it gets it; "" when one does, or when there is none yet.
std::string Scheduler::why_too_large(const Task& task) const {
  const Worker* largest = largest_for(*task.spec->queue->placement);
  if (largest == nullptr || has_memory_for(&task, *largest)) return "";
  return fmt::format(
      "its argument of {} is larger than the memory of each worker that could run it, the most being {} "
      "(worker {}): pass it in parts or by the name of a file, or start a worker that may use more "
      "(weft-worker --memory)",
      format_bytes(task.payload.blob().size), format_bytes(largest->hello.memory), largest->hello.name);
}

/// Of the tasks that wait apart, since workers or tasks came or went, or the program did not start on one:
/// those whose argument is too large, and those whose program starts on no worker that has memory for it.
void Scheduler::refuse_too_large(ReadyQueue& queue) {
  if (queue.sized_for == members_ || adopting()) return;
  queue.sized_for = members_;
  for (Task* next = queue.retries.front(); next != nullptr;) {
    Task& task = *next;
    next = TaskList::after(task);
    if (!is_large(task)) continue;
    if (const std::string refusal = why_too_large(task); !refusal.empty()) {
      refuse_task(task, refusal);
    } else if (const Refusal* latest = refused_everywhere(*queue.placement, &task);
               latest != nullptr && step_.now() - latest->at < settings_.cannot_start_memory) {
      answer(task, wire::Outcome::cannot_start, latest->reason);
      erase(task);
    }
  }
}

}  // namespace weft::broker
