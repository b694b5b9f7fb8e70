// SPDX-License-Identifier: MIT
#include "broker/scheduler/placer.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "common/base/check.hpp"

namespace weft::broker {

namespace {

/// Maps a load to a level: 16 levels for each task per slot, up to four tasks per slot. Beyond that a level
/// spans 1/64 to 1/32 of the load, so that one more task seldom changes the level, and few levels are in use.
std::uint32_t load_level(std::size_t tasks, std::uint32_t slots) {
  constexpr std::size_t kSteps = 16;
  constexpr int kBits = 6;
  const std::size_t load = tasks * kSteps / slots;
  const int coarser = std::max(0, static_cast<int>(std::bit_width(load)) - kBits);
  return static_cast<std::uint32_t>((load >> coarser) + (static_cast<std::size_t>(coarser) << (kBits - 1)));
}

}  // namespace

// ---- load ----

void Placer::update_credit(Worker& worker) const {
  if (worker.holds) {
    worker.credit = std::min(worker.hold.hold_slots, worker.slots);
    return;
  }
  const double part = step_.now() < shared_until_ ? 1.0 / static_cast<double>(settings_.shared_part) : 1.0;
  double prefetch = 0;
  if (worker.average_us > 0 &&
      worker.average_us <= static_cast<double>(settings_.prefetch_task_max.count())) {
    prefetch = std::ceil(static_cast<double>(settings_.prefetch.count()) * part / worker.average_us);
    prefetch = std::min(prefetch, std::ceil(static_cast<double>(settings_.prefetch_max) * part));
  }
  worker.credit = worker.slots * (1 + static_cast<std::size_t>(prefetch));
}

bool Placer::has_room(const Worker& worker) {
  return worker.state == WorkerState::ready && worker.load() + worker.zombies.size() < worker.credit;
}

void Placer::update(Worker& worker) {
  const bool oversubscribed = worker.state == WorkerState::ready && worker.load() > worker.slots;
  if (oversubscribed != worker.oversubscribed) {
    worker.oversubscribed = oversubscribed;
    oversubscribed ? ++oversubscribed_ : --oversubscribed_;
  }
  if (!has_room(worker)) return open_.remove(worker);
  open_.file(worker, load_level(worker.load() + worker.zombies.size(), worker.slots));
}

// ---- choice ----

Worker* Placer::choose(ReadyQueue& queue) const {
  const Placement& placement = *queue.placement;
  if (placement.threads > 1) return choose_wide(placement);
  if (queue.anywhere) {
    Worker* const first = open_.first();
    if (first != nullptr && first->cannot_start.empty() && !first->avoided) return first;
  } else {
    const std::vector<Worker*>& candidates = eligibility_.candidates_of(queue);
    if (candidates.size() < open_.size()) return choose_among(candidates, placement);
  }
  Worker* fallback = nullptr;
  for (Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker)) {
    if (!eligibility_.fits_now(*worker, placement)) continue;
    if (Eligibility::is_preferred(*worker, placement)) return worker;
    if (fallback == nullptr) fallback = worker;
  }
  return fallback;
}

/// For a task of several slots: a worker where they are free, otherwise one where the task waits and takes
/// slots as they become free, which prevents starvation by tasks of one slot.
Worker* Placer::choose_wide(const Placement& placement) const {
  Worker* best = nullptr;
  int best_rank = -1;
  for (Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker)) {
    if (!eligibility_.fits_now(*worker, placement)) continue;
    const bool free = worker->zombies.empty() && worker->idle_slots() >= placement.threads;
    const int rank = (free ? 2 : 0) + (Eligibility::is_preferred(*worker, placement) ? 1 : 0);
    if (rank == 3) return worker;
    if (rank <= best_rank) continue;
    best = worker;
    best_rank = rank;
  }
  return best;
}

/// For a placement with fewer candidates than there are open workers.
Worker* Placer::choose_among(const std::vector<Worker*>& candidates, const Placement& placement) const {
  Worker* best = nullptr;
  bool best_preferred = false;
  for (Worker* worker : candidates) {
    if (worker->open.level == LoadPlace::kNowhere || !eligibility_.fits_now(*worker, placement)) continue;
    const bool preferred = Eligibility::is_preferred(*worker, placement);
    const bool better =
        best == nullptr || (preferred == best_preferred ? worker->open.level < best->open.level : preferred);
    if (!better) continue;
    best = worker;
    best_preferred = preferred;
  }
  return best;
}

/// A worker where the task has not failed. While such a worker is busy and makes progress, the task waits for
/// it; otherwise the task goes to a worker where it has failed before.
Worker* Placer::choose_for_retry(ReadyQueue& queue, const Task& task) const {
  const Placement& placement = *queue.placement;
  Worker* other = nullptr;
  Worker* again = nullptr;
  for (Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker)) {
    if (!eligibility_.fits_now(*worker, placement, &task)) continue;
    const bool failed = failed_on(task, *worker);
    if (!failed && Eligibility::is_preferred(*worker, placement)) return worker;
    Worker*& found = failed ? again : other;
    if (found == nullptr) found = worker;
  }
  if (other != nullptr || again == nullptr) return other;
  for (const Worker* worker : eligibility_.candidates_of(queue)) {
    const auto longest =
        std::max(settings_.retry_elsewhere, Duration(static_cast<Duration::rep>(2 * worker->average_us)));
    const bool progresses = step_.now() - worker->progressed < longest && !worker->avoided && !worker->holds;
    if (progresses && !failed_on(task, *worker) && Eligibility::has_memory_for(&task, *worker) &&
        eligibility_.could_run(*worker, placement)) {
      return nullptr;
    }
  }
  return again;
}

const Worker* Placer::open_worker_for(const Placement& placement) const {
  for (const Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker)) {
    if (eligibility_.fits_now(*worker, placement)) return worker;
  }
  return nullptr;
}

// ---- failures of single tasks ----

void Placer::note_failed_on(Task& task, const Worker& worker) {
  task.failed = true;
  failed_on_[TaskId{task.session->id, task.seq}].push_back(worker.serial);
}

bool Placer::failed_on(const Task& task, const Worker& worker) const {
  if (!task.failed) return false;
  const std::vector<std::uint64_t>& there = failed_on_.at(TaskId{task.session->id, task.seq});
  return std::find(there.begin(), there.end(), worker.serial) != there.end();
}

// ---- rebalancing ----

std::vector<const Task*> Placer::take_rebalance() {
  std::vector<const Task*> moved;
  const Worker* idlest = open_.first();
  if (oversubscribed_ == 0 || idlest == nullptr || idlest->idle_slots() == 0) return moved;
  const Duration patience = settings_.prefetch * 5;
  const bool due = step_.now() >= rebalance_due_;
  if (due) rebalance_due_ = step_.now() + patience / 4;  // rarely, because it looks at all workers
  if (!std::exchange(rebalance_planned_, true)) step_.start_timer(rebalance_due_, TimerKind::rebalance, {});
  if (!due) return moved;
  std::size_t idle = idle_slots();
  for (const auto& [id, worker] : roster_.workers()) {
    if (!worker->oversubscribed || step_.now() < worker->retract_again) continue;
    std::size_t spare = std::min(worker->load() - worker->slots, idle);
    for (Task* task = worker->tasks.back(); task != nullptr && spare > 0; task = TaskList::before(*task)) {
      if (task->state != TaskState::assigned || step_.now() - task->since < patience) continue;
      if (!has_idle_worker_for(*task)) continue;
      moved.push_back(task);
      worker->retract_again = step_.now() + patience * 5;
      const std::size_t slots = task->spec->queue->placement->threads;
      spare -= std::min(spare, slots);
      idle -= std::min(idle, slots);
    }
  }
  return moved;
}

std::size_t Placer::idle_slots() const {
  std::size_t idle = 0;
  for (const Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker))
    idle += worker->idle_slots();
  return idle;
}

bool Placer::has_idle_worker_for(const Task& task) const {
  const Placement& placement = *task.spec->queue->placement;
  for (const Worker* worker = open_.first(); worker != nullptr; worker = open_.after(*worker)) {
    if (worker->idle_slots() >= placement.threads && eligibility_.fits_now(*worker, placement, &task) &&
        !failed_on(task, *worker)) {
      return true;
    }
  }
  return false;
}

void Placer::check_invariants() const {
  std::size_t oversubscribed = 0;
  std::size_t open = 0;
  for (const auto& [id, worker] : roster_.workers()) {
    WEFT_CHECK((worker->open.level != LoadPlace::kNowhere) == has_room(*worker));
    open += has_room(*worker);
    oversubscribed += worker->oversubscribed;
  }
  WEFT_CHECK(open == open_.size());
  WEFT_CHECK(oversubscribed == oversubscribed_);
  std::size_t failed = 0;
  for (const auto& [id, session] : roster_.sessions()) {
    session->tasks.for_each([&](std::uint64_t seq, const Task& task) {
      if (!task.failed) return;
      ++failed;
      WEFT_CHECK(failed_on_.contains(TaskId{session->id, seq}));
    });
  }
  WEFT_CHECK(failed == failed_on_.size());
}

}  // namespace weft::broker
