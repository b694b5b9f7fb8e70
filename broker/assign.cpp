// SPDX-License-Identifier: MIT
// Who gets what: clients in turn by slot time, within a client the highest priority and the oldest
// task, to the most idle worker that may run it. PROTOCOL.md section 6.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "broker/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

void Scheduler::schedule() {
  turns_.begin_pass();
  while (!open_workers_.empty()) {
    const FairTurns::Next next = turns_.next();
    if (next.turn == nullptr) break;
    serve(*next.turn->session, next.until_us);
  }
  flush_assignments();
  if (turns_.nobody_waits()) rebalance();
}

/// Assigns tasks of `session` until it has used slot time up to `used_us_max`, or nothing of it can be
/// placed.
void Scheduler::serve(Session& session, double used_us_max) {
  double used_us = 0;
  while (session.turn.waits && !open_workers_.empty() && session.turn.used_us + used_us <= used_us_max) {
    ReadyQueue* const queue = best_queue(session);
    if (queue == nullptr) {
      turns_.block(session.turn);
      break;
    }
    if (const auto [task, worker] = next_of(*queue); task != nullptr) {
      used_us += assign(*task, *worker);
    } else {
      queue->blocked_in_pass = turns_.pass();  // room only shrinks within a pass
      if (const auto minor = too_old_for(*queue->placement)) {
        refuse_too_new(*queue, *minor);
      } else if (const Refusal* latest = refused_everywhere(*queue->placement)) {
        fail_refused(*queue, *latest);
      } else if (!queue->retries.empty()) {
        refuse_too_large(*queue);
      }
    }
  }
  if (used_us > 0) turns_.charge(session.turn, used_us);
}

/// The one with the oldest task of the highest priority, of those that may still get something in this pass.
ReadyQueue* Scheduler::best_queue(const Session& session) const {
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
  return best;
}

/// The next task of `queue` and a worker for it; two nulls: there is no room.
std::pair<Task*, Worker*> Scheduler::next_of(ReadyQueue& queue) {
  const bool retry_first = !queue.retries.empty() && queue.front() == queue.retries.front();
  if (retry_first) {
    if (const auto next = next_retry(queue); next.first != nullptr) return next;
  }
  if (Worker* worker = queue.tasks.empty() ? nullptr : place(queue)) return {queue.tasks.front(), worker};
  return retry_first || queue.retries.empty() ? std::pair<Task*, Worker*>() : next_retry(queue);
}

std::pair<Task*, Worker*> Scheduler::next_retry(ReadyQueue& queue) {
  constexpr int kLookedAt = 16;  // others may be waiting for the same worker
  if (queue.retries_blocked_in_pass == turns_.pass()) return {};
  Task* task = queue.retries.front();
  for (int i = 0; i < kLookedAt && task != nullptr; ++i, task = TaskList::after(*task)) {
    if (Worker* worker = place_retry(queue, *task)) return {task, worker};
  }
  queue.retries_blocked_in_pass = turns_.pass();
  return {};
}

bool Scheduler::failed_on(const Task& task, const Worker& worker) const {
  if (!task.failed) return false;
  const std::vector<std::uint64_t>& there = failed_on_.at(TaskId{task.session->id, task.seq});
  return std::find(there.begin(), there.end(), worker.serial) != there.end();
}

/// A worker where the task did not fail before. While there are such, and they get on, it waits for one of
/// them; else it goes where it failed.
Worker* Scheduler::place_retry(ReadyQueue& queue, const Task& task) {
  const Placement& placement = *queue.placement;
  Worker* other = nullptr;
  Worker* again = nullptr;
  for (Worker* worker = open_workers_.first(); worker != nullptr; worker = open_workers_.after(*worker)) {
    if (!fits_now(*worker, placement, &task)) continue;
    const bool failed = failed_on(task, *worker);
    if (!failed && is_preferred(*worker, placement)) return worker;
    Worker*& found = failed ? again : other;
    if (found == nullptr) found = worker;
  }
  if (other != nullptr || again == nullptr) return other;
  for (const Worker* worker : candidates_of(queue)) {
    const auto longest =
        std::max(settings_.retry_elsewhere, Duration(static_cast<Duration::rep>(2 * worker->average_us)));
    const bool gets_on = step_.now() - worker->progressed < longest && !worker->avoided && !worker->holds;
    if (gets_on && !failed_on(task, *worker) && has_memory_for(&task, *worker) &&
        could_run(*worker, placement)) {
      return nullptr;
    }
  }
  return again;
}

/// The most idle worker that can take a task of `queue` now, preferred ones first.
Worker* Scheduler::place(ReadyQueue& queue) {
  const Placement& placement = *queue.placement;
  if (placement.threads > 1) return place_wide(placement);
  if (queue.anywhere) {
    Worker* const first = open_workers_.first();
    if (first != nullptr && first->cannot_start.empty() && !first->avoided) return first;
  } else {
    const std::vector<Worker*>& candidates = candidates_of(queue);
    if (candidates.size() < open_workers_.size()) return place_among(candidates, placement);
  }
  Worker* fallback = nullptr;
  for (Worker* worker = open_workers_.first(); worker != nullptr; worker = open_workers_.after(*worker)) {
    if (!fits_now(*worker, placement)) continue;
    if (is_preferred(*worker, placement)) return worker;
    if (fallback == nullptr) fallback = worker;
  }
  return fallback;
}

/// The same for a task that takes several slots: where they are free, or else where one is. There it waits,
/// and takes up its slots as others leave them: so it does not starve behind tasks that need one.
Worker* Scheduler::place_wide(const Placement& placement) const {
  Worker* best = nullptr;
  int best_rank = -1;
  for (Worker* worker = open_workers_.first(); worker != nullptr; worker = open_workers_.after(*worker)) {
    if (!fits_now(*worker, placement)) continue;
    const bool free = worker->strays.empty() && worker->idle_slots() >= placement.threads;
    const int rank = (free ? 2 : 0) + (is_preferred(*worker, placement) ? 1 : 0);
    if (rank == 3) return worker;
    if (rank <= best_rank) continue;
    best = worker;
    best_rank = rank;
  }
  return best;
}

/// The same, where few may run it.
Worker* Scheduler::place_among(const std::vector<Worker*>& candidates, const Placement& placement) const {
  Worker* best = nullptr;
  bool best_preferred = false;
  for (Worker* worker : candidates) {
    if (worker->open.level == LoadPlace::kNowhere || !fits_now(*worker, placement)) continue;
    const bool preferred = is_preferred(*worker, placement);
    const bool better =
        best == nullptr || (preferred == best_preferred ? worker->open.level < best->open.level : preferred);
    if (!better) continue;
    best = worker;
    best_preferred = preferred;
  }
  return best;
}

const std::vector<Worker*>& Scheduler::candidates_of(ReadyQueue& queue) {
  if (std::exchange(queue.candidates_of, members_) == members_) return queue.candidates;
  queue.candidates.clear();
  for (const auto& [id, worker] : roster_.workers()) {
    if (may_ever_run(*worker, *queue.placement)) queue.candidates.push_back(worker.get());
  }
  std::sort(queue.candidates.begin(), queue.candidates.end(),
            [](const Worker* a, const Worker* b) { return a->serial < b->serial; });
  return queue.candidates;
}

bool Scheduler::is_preferred(const Worker& worker, const Placement& placement) {
  return placement.prefer.empty() ||
         std::any_of(placement.prefer.begin(), placement.prefer.end(),
                     [&](const std::string& name) { return worker.is_called(name); });
}

/// By its name, slots, resources and version.
bool Scheduler::may_ever_run(const Worker& worker, const Placement& placement) {
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

bool Scheduler::fits_now(const Worker& worker, const Placement& placement, const Task* large) const {
  constexpr double kRounding = 1e-9;
  if (!has_memory_for(large, worker)) return false;
  if (worker.avoided && is_possible_elsewhere(worker, placement, large)) return false;
  if (placement.anywhere() && worker.cannot_start.empty()) return true;
  if (!could_run(worker, placement)) return false;
  if (!placement.resources.empty() && !worker.strays.empty()) return false;
  return std::all_of(placement.resources.begin(), placement.resources.end(), [&](const auto& need) {
    const auto free = worker.resources_free.find(need.first);
    return free != worker.resources_free.end() && free->second + kRounding >= need.second;
  });
}

/// Whether a worker that is not avoided could run it.
bool Scheduler::is_possible_elsewhere(const Worker& worker, const Placement& placement,
                                      const Task* large) const {
  return std::any_of(roster_.workers().begin(), roster_.workers().end(), [&](const auto& entry) {
    const Worker& other = *entry.second;
    return &other != &worker && !other.avoided && has_memory_for(large, other) && could_run(other, placement);
  });
}

/// Whether it could if it were idle.
bool Scheduler::could_run(const Worker& worker, const Placement& placement) const {
  if (worker.state == WorkerState::draining || worker.state == WorkerState::lost) return false;
  if (const auto bad = worker.cannot_start->find(placement.program);
      bad != worker.cannot_start->end() && step_.now() < bad->second.until) {
    return false;
  }
  return has_function(worker, placement) && may_ever_run(worker, placement);
}

/// A name that no worker has goes anywhere, and fails there with the list of known ones.
bool Scheduler::has_function(const Worker& worker, const Placement& placement) const {
  const std::string& name = placement.library_function;
  if (name.empty() || !functions_.contains(name)) return true;
  const auto& functions = worker.hello.functions;
  return std::find(functions.begin(), functions.end(), name) != functions.end();
}

/// Of the workers that could run it, all are too old for one of its options: the version of the newest.
std::optional<std::uint8_t> Scheduler::too_old_for(const Placement& placement) const {
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

/// Workers of protocol `minor` would ignore an option of the tasks in `queue` without a word.
void Scheduler::refuse_too_new(ReadyQueue& queue, std::uint8_t minor) {
  while (Task* task = queue.front()) {
    const auto requirement = wire::required_beyond(task->spec->content, minor);
    WEFT_CHECK(requirement.has_value());
    refuse_task(*task,
                fmt::format("its option `{}` needs a worker that speaks protocol {}.{}, and the workers that "
                            "could run it speak {}.{}: start newer ones, or leave the option out",
                            requirement->field, wire::kMajor, requirement->minor, wire::kMajor, minor));
  }
}

/// The latest refusal of a program that starts on none of the workers that could run it (and have memory for
/// `large`, if it is given); nullptr: one of them has not refused it.
const Refusal* Scheduler::refused_everywhere(const Placement& placement, const Task* large) const {
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

/// Tells each task the reason at once. A reason that is no longer fresh may no longer be true: then the
/// program is tried on all workers again.
void Scheduler::fail_refused(ReadyQueue& queue, const Refusal& latest) {
  if (step_.now() - latest.at >= settings_.cannot_start_memory) {
    for (const auto& [id, worker] : roster_.workers()) {
      const auto refusal = worker->cannot_start->find(queue.placement->program);
      if (refusal != worker->cannot_start->end())
        worker->cannot_start.edit()[queue.placement->program].until = step_.now();
    }
    queue.blocked_in_pass = 0;
    return;
  }
  answer_all(queue, wire::Outcome::cannot_start, wire::Payload(latest.reason));
}

/// Returns the slot time, in microseconds, that it is to be charged for in advance.
double Scheduler::assign(Task& task, Worker& worker) {
  Session& session = *task.session;
  if (worker.told_session != session.serial || worker.told_spec != task.spec->number)
    define_for(worker, session, *task.spec);
  take_out(task);
  attach(task, worker, wire::Attempt{settings_.epoch, next_attempt_++}, TaskState::assigned);
  task.charged_us = static_cast<std::uint32_t>(std::min(session.average_us * task.spec->slots, 1e9));

  wire::Assign& outgoing = worker.outgoing;
  if (!outgoing.tasks.empty() && outgoing.session != session.id) {
    step_.send(worker.peer, std::exchange(outgoing, {}));
  }
  if (outgoing.tasks.empty()) assigned_to_.push_back(&worker);
  outgoing.session = session.id;
  outgoing.tasks.push_back(
      {task.seq, task.attempt.number, task.spec->number, task.execution(), task.crashes > 0, task.payload});
  return task.charged_us;
}

/// Unless it was told before on this connection.
void Scheduler::define_for(Worker& worker, const Session& session, const Spec& spec) {
  WorkerSession& known = worker.sessions.of(session.id);
  if (known.told.insert(spec.number).second) {
    known.specs.insert(spec.number);
    step_.send(worker.peer, wire::DefineFor{session.id, spec.number, spec.content});
  }
  worker.told_session = session.serial;
  worker.told_spec = spec.number;
}

void Scheduler::flush_assignments() {
  for (Worker* worker : assigned_to_) {
    if (!worker->outgoing.tasks.empty()) step_.send(worker->peer, std::exchange(worker->outgoing, {}));
  }
  assigned_to_.clear();
}

/// It submits. What is with a worker already goes before it, whoever's turn it is: that is to be little while
/// tasks of others wait.
void Scheduler::note_competition(const Session& session) {
  if (turns_.others_wait(session.turn)) shared_until_ = step_.now() + settings_.shared_memory;
}

/// How many tasks a worker may have. Long tasks are not prefetched, so that whoever is idle first gets
/// the next; short ones are, to cover the way there and back.
void Scheduler::update_credit(Worker& worker) {
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

bool Scheduler::has_room(const Worker& worker) {
  return worker.state == WorkerState::ready && worker.load() + worker.strays.size() < worker.credit;
}

/// 16 levels for each task that every slot has, up to four of them; beyond that a level is a 32nd to a 64th
/// of the load, so that one task more seldom makes another level, and few levels are in use.
std::uint32_t Scheduler::load_level(std::size_t tasks, std::uint32_t slots) {
  constexpr std::size_t kSteps = 16;
  constexpr int kBits = 6;
  const std::size_t load = tasks * kSteps / slots;
  const int coarser = std::max(0, static_cast<int>(std::bit_width(load)) - kBits);
  return static_cast<std::uint32_t>((load >> coarser) + (static_cast<std::size_t>(coarser) << (kBits - 1)));
}

/// Files the worker under its present load, if it may have more.
void Scheduler::update_open(Worker& worker) {
  const bool crowded = worker.state == WorkerState::ready && worker.load() > worker.slots;
  if (crowded != worker.crowded) {
    worker.crowded = crowded;
    crowded ? ++crowded_ : --crowded_;
  }
  if (!has_room(worker)) return open_workers_.remove(worker);
  const std::size_t has = worker.load() + worker.strays.size();
  open_workers_.file(worker, load_level(has, worker.slots));
}

/// Whether anything of it may start.
bool Scheduler::may_start(const Session& session) {
  if (session.state == SessionState::connected || session.state == SessionState::detached) return true;
  return session.away() && !session.detached.empty();
}

void Scheduler::update_turn(Session& session) {
  turns_.set_waiting(session.turn,
                     session.queued > 0 && session.deliveries.bytes() < backlog_max_ && may_start(session));
}

/// Nothing is queued: tasks that wait behind others on one worker can go to an idle one. Those that
/// have waited no longer than a prefetch takes are about to start and stay.
void Scheduler::rebalance() {
  const Worker* idlest = open_workers_.first();
  if (crowded_ == 0 || idlest == nullptr || idlest->idle_slots() == 0) return;
  const Duration patience = settings_.prefetch * 5;
  if (step_.now() < rebalance_due_) return plan_rebalance(rebalance_due_);
  rebalance_due_ = step_.now() + patience / 4;  // all workers are looked at: not for every message
  plan_rebalance(rebalance_due_);
  std::size_t idle = 0;
  for (const Worker* worker = open_workers_.first(); worker != nullptr;
       worker = open_workers_.after(*worker)) {
    idle += worker->idle_slots();
  }
  for (auto& [id, worker] : roster_.workers()) {
    if (!worker->crowded) continue;
    if (step_.now() < worker->retract_again) continue;
    std::size_t spare = std::min(worker->load() - worker->slots, idle);
    for (Task* task = worker->tasks.back(); task != nullptr && spare > 0; task = TaskList::before(*task)) {
      if (task->state != TaskState::assigned || step_.now() - task->since < patience) continue;
      const Placement& placement = *task->spec->queue->placement;
      const Worker* other = open_workers_.first();
      while (other != nullptr && (other->idle_slots() < placement.threads ||
                                  !fits_now(*other, placement, task) || failed_on(*task, *other))) {
        other = open_workers_.after(*other);
      }
      if (other == nullptr) continue;  // nobody is idle that could run it
      revoke(*task, wire::RevokeMode::retract);
      worker->retract_again = step_.now() + patience * 5;
      spare -= std::min<std::size_t>(spare, placement.threads);
      idle -= std::min<std::size_t>(idle, placement.threads);
    }
  }
}

void Scheduler::plan_rebalance(Time at) {
  if (!std::exchange(rebalance_planned_, true)) step_.start_timer(at, TimerKind::rebalance, {});
}

// ---- bad workers ----

/// Most attempts fail on a bad worker and few elsewhere: its disk is full, its libraries are others. For a
/// while it gets nothing new, but for what nobody else could run.
void Scheduler::avoid_bad_workers() {
  constexpr std::uint32_t kElsewhereMin = 5;  // attempts, to compare with
  constexpr double kManyFail = 0.8;
  constexpr double kFewFail = 0.2;
  std::uint64_t count = 0;
  std::uint64_t failed = 0;
  bool any = false;
  for (const auto& [id, worker] : roster_.workers()) {
    count += worker->outcomes.count();
    failed += worker->outcomes.failed();
    any = any || (worker->outcomes.failed() >= kBadMin && !worker->avoided);
  }
  if (!any) return;
  for (auto& [id, worker] : roster_.workers()) {
    const Outcomes& here = worker->outcomes;
    if (here.count() == Outcomes::kMax && here.failed() < kFewFail * Outcomes::kMax)
      worker->avoided_for = Duration(0);  // it is as good as others by now
    if (worker->avoided || here.failed() < kBadMin || here.failed() < kManyFail * here.count()) continue;
    const std::uint64_t count_elsewhere = count - here.count();
    const std::uint64_t failed_elsewhere = failed - here.failed();
    if (count_elsewhere < kElsewhereMin) continue;
    const double elsewhere = static_cast<double>(failed_elsewhere) / static_cast<double>(count_elsewhere);
    if (elsewhere < kFewFail) avoid(*worker, elsewhere);
  }
}

void Scheduler::avoid(Worker& worker, double elsewhere) {
  worker.avoided = true;
  worker.avoided_for = std::clamp(worker.avoided_for * 2, settings_.avoid, settings_.avoid_max);
  worker.avoided_until = step_.now() + worker.avoided_for;
  step_.start_timer(worker.avoided_until, TimerKind::avoided, worker.hello.incarnation);
  worker.note = why_avoided(worker);
  step_.log(Log::Level::warning,
      fmt::format("worker {}: {} ({:.0f} % failed elsewhere); look for what is wrong with its host {}",
                  worker.hello.name, worker.note, elsewhere * 100, worker.hello.host));
  update_open(worker);
  for (const Task* task = worker.tasks.front(); task != nullptr; task = TaskList::after(*task)) {
    if (task->state == TaskState::assigned) revoke(*task, wire::RevokeMode::retract);
  }
}

std::string Scheduler::why_avoided(const Worker& worker) const {
  return fmt::format("{} of its last {} attempts failed, and few elsewhere: it gets nothing new for {:.0f} s",
                     worker.outcomes.failed(), worker.outcomes.count(),
                     static_cast<double>((worker.avoided_until - step_.now()).count()) / 1e6);
}

// ---- why not ----

std::string Scheduler::explain(const Placement& placement) const {
  if (roster_.workers().empty()) return "no worker has joined";
  if (std::any_of(roster_.workers().begin(), roster_.workers().end(),
                  [&](const auto& entry) { return could_run(*entry.second, placement); })) {
    return "";
  }
  std::vector<std::string> names;
  bool named = placement.workers.empty();
  for (const auto& [id, worker] : roster_.workers()) {
    names.push_back(worker->hello.name);
    for (const std::string& name : placement.workers) named = named || worker->is_called(name);
  }
  std::sort(names.begin(), names.end());
  if (names.size() > 8) names.resize(8);
  if (!named) {
    return fmt::format("it may run on {} only, and the workers here are {}",
                       fmt::join(placement.workers, ", "), fmt::join(names, ", "));
  }
  const auto widest = std::max_element(roster_.workers().begin(), roster_.workers().end(), [](const auto& a, const auto& b) {
    return a.second->slots < b.second->slots;
  });
  if (widest->second->slots < placement.threads) {
    return fmt::format("it needs {} slots of one worker (threads), and the most that a worker here has is {}",
                       placement.threads, widest->second->slots);
  }
  for (const auto& [resource, amount] : placement.resources) {
    double most = 0;
    for (const auto& [id, worker] : roster_.workers()) {
      const auto has = worker->hello.resources.find(resource);
      if (has != worker->hello.resources.end()) most = std::max(most, has->second);
    }
    if (most < amount)
      return fmt::format("it needs {}={}, and the most that a worker here has is {}", resource, amount, most);
  }
  if (!placement.program.empty() && std::any_of(roster_.workers().begin(), roster_.workers().end(), [&](const auto& entry) {
        return entry.second->cannot_start->contains(placement.program);
      })) {
    return "its program does not start on the workers that it may use";
  }
  return fmt::format("no worker here meets all of its constraints (or those that do are leaving): {}",
                     fmt::join(names, ", "));
}

void Scheduler::explain_waiting() {
  next_explain_ = step_.now() + settings_.explain_after;
  for (auto& [id, worker] : roster_.workers()) watch_worker(*worker);
  for (auto& [id, session] : roster_.sessions()) {
    for (ReadyQueue* queue : session->order) {
      std::string reason;
      if (!queue->empty() && step_.now() - queue->front()->since >= settings_.explain_after / 2) {
        reason = why_waiting(*session, *queue);
      }
      if (!reason.empty() && reason != queue->explained) {
        step_.log(Log::Level::warning,
            fmt::format("{} tasks of {} wait: {}", queue->size(), session->name, reason));
      }
      queue->explained = std::move(reason);
    }
  }
}

}  // namespace weft::broker
