// SPDX-License-Identifier: MIT
#include "broker/scheduler/fair_queue.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace weft::broker {

// ---- clients ----

bool FairQueue::may_start(const Session& session) {
  if (session.state == SessionState::connected || session.state == SessionState::detached) return true;
  return session.away() && !session.detached.empty();
}

void FairQueue::update(Session& session) {
  turns_.set_waiting(session.turn,
                     session.queued > 0 && session.deliveries.bytes() < backlog_max_ && may_start(session));
}

void FairQueue::update_backlog_max() {
  backlog_max_ = std::min(settings_.backlog_bytes_max,
                          settings_.memory_budget / 2 / std::max<std::size_t>(roster_.sessions().size(), 1));
}

// ---- tasks ----

ReadyQueue& FairQueue::queue_for(Session& session, const Placement& placement) {
  const auto [entry, added] = session.queues.try_emplace(placement);
  ReadyQueue& queue = entry->second;
  if (added) {
    queue.placement = &entry->first;
    queue.anywhere = entry->first.anywhere();
    const auto at = std::find_if(session.order.begin(), session.order.end(), [&](const ReadyQueue* other) {
      return other->placement->priority < placement.priority;
    });
    session.order.insert(at, &queue);
  }
  return queue;
}

void FairQueue::push(Task& task) {
  TaskList& tasks = task.spec->queue->tasks;
  if (task.failed || eligibility_.is_large(task)) {
    set_apart(task);
  } else if (tasks.empty() || tasks.back()->seq < task.seq) {
    tasks.push_back(task);
  } else {
    tasks.insert_by_seq(task);  // the task was queued before, so its place is near the front
  }
  ++task.session->queued;
  update(*task.session);
}

void FairQueue::take_out(Task& task) {
  WEFT_CHECK(!task.with_worker());
  const bool queued = task.state == TaskState::queued && task.spec->queue->contains(task);
  TaskList::remove(task);
  if (!queued) return;
  --task.session->queued;
  update(*task.session);
}

/// Puts the task into `retries`, with the tasks that must not go to every worker.
void FairQueue::set_apart(Task& task) const {
  ReadyQueue& queue = *task.spec->queue;
  queue.retries.insert_by_seq_from_back(task);
  if (eligibility_.is_large(task)) queue.sized_for = 0;
}

void FairQueue::set_large_apart() const {
  for (const auto& [id, session] : roster_.sessions()) {
    for (ReadyQueue* queue : session->order) {
      for (Task* next = queue->tasks.front(); next != nullptr;) {
        Task& task = *next;
        next = TaskList::after(task);
        if (eligibility_.is_large(task)) set_apart(task);
      }
    }
  }
}

// ---- a scheduling pass ----

ReadyQueue* FairQueue::best_queue(Session& session) const {
  const bool away = session.away();
  ReadyQueue* best = nullptr;
  std::uint64_t oldest = 0;  // of `best`
  for (ReadyQueue* queue : session.order) {
    const Task* const front = queue->front();
    if (front == nullptr || queue->blocked_in_pass == turns_.pass()) continue;
    if (away && !queue->placement->detach) continue;
    if (best != nullptr && best->placement->priority > queue->placement->priority) break;
    if (best != nullptr && front->seq > oldest) continue;
    best = queue;
    oldest = front->seq;
  }
  if (best == nullptr) turns_.block(session.turn);
  return best;
}

void FairQueue::check_invariants() const {
  for (const auto& [id, session] : roster_.sessions()) {
    std::size_t queued = 0;
    session->tasks.for_each([&](std::uint64_t, const Task& task) {
      if (task.state != TaskState::queued) return;
      ++queued;
      WEFT_CHECK(task.spec->queue->contains(task));
      WEFT_CHECK(!eligibility_.is_large(task) || task.spec->queue->retries.contains(task));
    });
    WEFT_CHECK(queued == session->queued);
    turns_.check_invariants(session->turn);
  }
}

}  // namespace weft::broker
