// SPDX-License-Identifier: MIT
#include "broker/scheduler/eligibility.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "common/base/quantity.hpp"

namespace weft::broker {

bool Eligibility::add(const Worker& worker) {
  ++membership_;
  for (const std::string& function : worker.hello.functions) ++functions_[function];
  if (worker.hello.memory == 0) return false;  // unknown
  ++memories_[worker.hello.memory];
  const std::uint64_t before = std::exchange(least_memory_, memories_.begin()->first);
  return least_memory_ < before;
}

void Eligibility::remove(const Worker& worker) {
  ++membership_;
  for (const std::string& function : worker.hello.functions) {
    if (--functions_[function] == 0) functions_.erase(function);
  }
  if (worker.hello.memory == 0) return;
  if (--memories_[worker.hello.memory] == 0) memories_.erase(worker.hello.memory);
  least_memory_ = memories_.empty() ? UINT64_MAX : memories_.begin()->first;
}

// ---- one worker ----

bool Eligibility::may_ever_run(const Worker& worker, const Placement& placement) {
  if (worker.minor < placement.minor || worker.slots < placement.threads) return false;
  if (!placement.workers.empty() &&
      std::none_of(placement.workers.begin(), placement.workers.end(),
                   [&](const std::string& name) { return worker.is_called(name); })) {
    return false;
  }
  return std::all_of(placement.resources.begin(), placement.resources.end(), [&](const auto& need) {
    const auto has = worker.hello.resources.find(need.first);
    return has != worker.hello.resources.end() && has->second >= need.second;
  });
}

bool Eligibility::could_run(const Worker& worker, const Placement& placement) const {
  if (worker.state == WorkerState::draining || worker.state == WorkerState::lost) return false;
  if (const auto bad = worker.cannot_start->find(placement.program);
      bad != worker.cannot_start->end() && step_.now() < bad->second.until) {
    return false;
  }
  return has_function(worker, placement) && may_ever_run(worker, placement);
}

bool Eligibility::fits_now(const Worker& worker, const Placement& placement, const Task* large) const {
  constexpr double kRounding = 1e-9;
  if (!has_memory_for(large, worker)) return false;
  if (worker.avoided && is_possible_elsewhere(worker, placement, large)) return false;
  if (placement.anywhere() && worker.cannot_start.empty()) return true;
  if (!could_run(worker, placement)) return false;
  if (!placement.resources.empty() && !worker.zombies.empty()) return false;
  return std::all_of(placement.resources.begin(), placement.resources.end(), [&](const auto& need) {
    const auto free = worker.resources_free.find(need.first);
    return free != worker.resources_free.end() && free->second + kRounding >= need.second;
  });
}

/// Whether another worker, which is not avoided, could run the placement.
bool Eligibility::is_possible_elsewhere(const Worker& worker, const Placement& placement,
                                        const Task* large) const {
  return std::any_of(roster_.workers().begin(), roster_.workers().end(), [&](const auto& entry) {
    const Worker& other = *entry.second;
    return &other != &worker && !other.avoided && has_memory_for(large, other) && could_run(other, placement);
  });
}

/// A function that no worker has passes everywhere: the task then fails with the list of known names.
bool Eligibility::has_function(const Worker& worker, const Placement& placement) const {
  const std::string& name = placement.library_function;
  if (name.empty() || !functions_.contains(name)) return true;
  const auto& functions = worker.hello.functions;
  return std::find(functions.begin(), functions.end(), name) != functions.end();
}

bool Eligibility::is_preferred(const Worker& worker, const Placement& placement) {
  return placement.prefer.empty() ||
         std::any_of(placement.prefer.begin(), placement.prefer.end(),
                     [&](const std::string& name) { return worker.is_called(name); });
}

bool Eligibility::has_memory_for(const Task* task, const Worker& worker) {
  if (task == nullptr || worker.hello.memory == 0 || !task->payload.is_blob()) return true;
  return task->payload.blob().size <= worker.hello.memory;
}

void Eligibility::note_refusal(Worker& worker, const BlobId& program, const wire::Payload& reason) const {
  Refusal& refusal = worker.cannot_start.edit()[program];
  refusal.at = step_.now();
  refusal.reason = reason;
  if (step_.now() < refusal.until) return;  // a further refusal of the same try
  refusal.memory =
      std::clamp(refusal.memory * 2, settings_.cannot_start_memory, settings_.cannot_start_memory_max);
  refusal.until = step_.now() + refusal.memory;
}

void Eligibility::note_start(Worker& worker, const BlobId& program) {
  auto& refusals = worker.cannot_start.edit();
  const auto refusal = refusals.find(program);
  if (refusal != refusals.end()) refusal->second.memory = Duration(0);
}

// ---- all workers ----

const std::vector<Worker*>& Eligibility::candidates_of(ReadyQueue& queue) const {
  if (std::exchange(queue.candidates_of, membership_) == membership_) return queue.candidates;
  queue.candidates.clear();
  for (const auto& [id, worker] : roster_.workers()) {
    if (may_ever_run(*worker, *queue.placement)) queue.candidates.push_back(worker.get());
  }
  std::sort(queue.candidates.begin(), queue.candidates.end(),
            [](const Worker* a, const Worker* b) { return a->serial < b->serial; });
  return queue.candidates;
}

std::optional<std::uint8_t> Eligibility::too_old_for(const Placement& placement) const {
  if (placement.minor == 0) return std::nullopt;
  Placement without = placement;
  without.minor = 0;
  std::optional<std::uint8_t> newest;
  for (const auto& [id, worker] : roster_.workers()) {
    if (may_ever_run(*worker, without) && has_function(*worker, without))
      newest = std::max(newest.value_or(0), worker->minor);
  }
  return newest && *newest < placement.minor ? newest : std::nullopt;
}

const Refusal* Eligibility::refused_everywhere(const Placement& placement, const Task* large) const {
  if (placement.program.empty()) return nullptr;
  const Refusal* latest = nullptr;
  for (const auto& [id, worker] : roster_.workers()) {
    if (worker->state == WorkerState::draining || worker->state == WorkerState::lost) continue;
    if (!may_ever_run(*worker, placement) || !has_memory_for(large, *worker)) continue;
    const auto refusal = worker->cannot_start->find(placement.program);
    if (refusal == worker->cannot_start->end() || step_.now() >= refusal->second.until) return nullptr;
    if (latest == nullptr || refusal->second.at > latest->at) latest = &refusal->second;
  }
  return latest;
}

void Eligibility::forget_refusals(const BlobId& program) const {
  for (const auto& [id, worker] : roster_.workers()) {
    const auto refusal = worker->cannot_start->find(program);
    if (refusal != worker->cannot_start->end()) worker->cannot_start.edit()[program].until = step_.now();
  }
}

/// The worker with the most memory among those that may ever run the placement; nullptr: there is none.
const Worker* Eligibility::largest_for(const Placement& placement) const {
  const Worker* largest = nullptr;
  for (const auto& [id, worker] : roster_.workers()) {
    if (!may_ever_run(*worker, placement) || !has_function(*worker, placement)) continue;
    if (worker->hello.memory == 0) return worker.get();
    if (largest == nullptr || worker->hello.memory > largest->hello.memory) largest = worker.get();
  }
  return largest;
}

// ---- reasons ----

std::string Eligibility::explain(const Placement& placement) const {
  const auto& workers = roster_.workers();
  if (workers.empty()) return "no worker has joined";
  const bool possible = std::any_of(workers.begin(), workers.end(),
                                    [&](const auto& entry) { return could_run(*entry.second, placement); });
  return possible ? "" : why_never(placement);
}

/// REQUIRES: there are workers, and none of them could run the placement.
std::string Eligibility::why_never(const Placement& placement) const {
  const auto& workers = roster_.workers();
  std::vector<std::string> names;
  bool named = placement.workers.empty();
  for (const auto& [id, worker] : workers) {
    names.push_back(worker->hello.name);
    for (const std::string& name : placement.workers) named = named || worker->is_called(name);
  }
  std::sort(names.begin(), names.end());
  if (names.size() > 8) names.resize(8);
  if (!named) {
    return fmt::format("it may run on {} only, and the workers here are {}",
                       fmt::join(placement.workers, ", "), fmt::join(names, ", "));
  }
  const auto widest = std::max_element(workers.begin(), workers.end(), [](const auto& a, const auto& b) {
    return a.second->slots < b.second->slots;
  });
  if (widest->second->slots < placement.threads) {
    return fmt::format("it needs {} slots of one worker (threads), and the most that a worker here has is {}",
                       placement.threads, widest->second->slots);
  }
  for (const auto& [resource, amount] : placement.resources) {
    double most = 0;
    for (const auto& [id, worker] : workers) {
      const auto has = worker->hello.resources.find(resource);
      if (has != worker->hello.resources.end()) most = std::max(most, has->second);
    }
    if (most < amount)
      return fmt::format("it needs {}={}, and the most that a worker here has is {}", resource, amount, most);
  }
  if (!placement.program.empty() && std::any_of(workers.begin(), workers.end(), [&](const auto& entry) {
        return entry.second->cannot_start->contains(placement.program);
      })) {
    return "its program does not start on the workers that it may use";
  }
  return fmt::format("no worker here meets all of its constraints (or those that do are leaving): {}",
                     fmt::join(names, ", "));
}

std::string Eligibility::why_held(const wire::Heartbeat& hold) {
  if (hold.hold.empty()) return "";
  return fmt::format("it takes {}: {}", hold.hold_slots == 0 ? "nothing new" : "one task at a time",
                     hold.hold);
}

std::string Eligibility::why_held(const Placement& placement) const {
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

std::string Eligibility::why_too_large(const Task& task) const {
  const Worker* largest = largest_for(*task.spec->queue->placement);
  if (largest == nullptr || has_memory_for(&task, *largest)) return "";
  return fmt::format(
      "its argument of {} is larger than the memory of each worker that could run it, the most being {} "
      "(worker {}): pass it in parts or by the name of a file, or start a worker that may use more "
      "(weft-worker --memory)",
      format_bytes(task.payload.blob().size), format_bytes(largest->hello.memory), largest->hello.name);
}

}  // namespace weft::broker
