// SPDX-License-Identifier: MIT
// WorkerCore's dispatcher: which queued task goes to which runner, and which runners exist. Oldest task
// first; a run queue whose oldest task cannot be placed is skipped, so that it does not block other programs.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

/// A runner truncates very long names in its HELLO, so only their common prefix has to agree.
bool same_name(const std::string& a, const std::string& b) {
  constexpr std::size_t kNameBytesKept = 900;
  if (a.size() < kNameBytesKept || b.size() < kNameBytesKept) return a == b;
  return a.compare(0, kNameBytesKept, b, 0, kNameBytesKept) == 0;
}

}  // namespace

void WorkerCore::dispatch() {
  dispatch_due_.reset();
  held_back_ = 0;
  for (auto& [name, program] : programs_)
    for (RunQueue& run_queue : program.run_queues) run_queue.served = run_queue.blocked = false;
  std::uint64_t until = 0;
  while (RunQueue* run_queue = next_queue(until)) run_queue->blocked = !serve(*run_queue, until);
  rebalance();
}

/// Of the run queues that are not blocked in this pass, the one with the oldest task. `until` becomes the
/// order of the oldest task in the others.
RunQueue* WorkerCore::next_queue(std::uint64_t& until) {
  RunQueue* oldest = nullptr;
  until = UINT64_MAX;
  for (auto& [name, program] : programs_) {
    for (RunQueue& run_queue : program.run_queues) {
      if (run_queue.tasks.empty() || run_queue.blocked) continue;
      if (oldest == nullptr || run_queue.tasks.front()->order < oldest->tasks.front()->order) {
        if (oldest != nullptr) until = oldest->tasks.front()->order;
        oldest = &run_queue;
      } else {
        until = std::min(until, run_queue.tasks.front()->order);
      }
    }
  }
  return oldest;
}

/// Places the queue's tasks that arrived before `until`, oldest first. False: some of them must wait.
bool WorkerCore::serve(RunQueue& run_queue, std::uint64_t until) {
  for (auto& [id, runner] : runners_) {
    if (runner.run_queue != &run_queue) continue;
    while (runner.idle() && !is_used_up(runner)) {
      if (!run_queue.has_before(until)) return true;
      Task& task = *run_queue.tasks.front();
      if (!has_slots_for(task)) return false;
      if (task.spec->takes_indices && has_function(task) && !take_indices(runner, task)) break;
      run(runner, task);  // the runner stays idle if the program lacks the function
    }
  }
  if (!run_queue.has_before(until)) return true;
  if (run_queue.tasks.front()->spec->takes_indices) end_unsuited(run_queue);
  if (!std::exchange(run_queue.served, true)) {
    start_runners(run_queue);
    end_idle_runners_for(run_queue);
  }
  return prefetch(run_queue, until);
}

/// Starts a runner for each task that has none, as far as slots are free.
void WorkerCore::start_runners(RunQueue& run_queue) {
  ProgramState& program = *run_queue.program;
  if (program.bad_until && now_ < *program.bad_until) {
    dispatch_due_ = earlier(dispatch_due_, program.bad_until);
    return;
  }
  std::size_t coming = count(run_queue, Runner::State::starting);
  for (; !free_slots_.empty() && coming < run_queue.tasks.size(); ++coming) {
    Runner& runner = runners_[++runner_last_];
    runner.id = runner_last_;
    runner.slot = free_slots_.extract(free_slots_.begin()).value();
    runner.run_queue = &run_queue;
    runner.since = now_;
    ++program.runners;
    actions_->push_back(StartRunner{runner.id, runner.slot, program.program});
  }
}

/// All slots are taken: ends idle runners of other programs to make room.
void WorkerCore::end_idle_runners_for(RunQueue& run_queue) {
  const ProgramState& program = *run_queue.program;
  if (program.bad_until && now_ < *program.bad_until) return;
  std::size_t coming = count(run_queue, Runner::State::starting);
  for (const auto& [id, runner] : runners_) coming += runner.state == Runner::State::ending;
  coming += settings_.hello.slots - runners_.size();
  for (auto& [id, runner] : runners_) {
    if (coming >= run_queue.tasks.size()) return;
    if (!runner.idle() || runner.run_queue == &run_queue) continue;
    // Against thrashing: two programs that alternate in one slot would start processes all the time.
    if (!runner.run_queue->tasks.empty() && now_ - runner.ready_at < settings_.min_runner_lifetime) continue;
    end(runner);
    ++coming;
  }
}

/// Queues short tasks behind the running ones, in the emptiest channels first. A runner that finishes a task
/// then has its next one without a round trip, and short tasks hardly wait longer than for a free runner.
/// False: some must wait.
bool WorkerCore::prefetch(RunQueue& run_queue, std::uint64_t until) {
  if (run_queue.alone || older_queue_waits(run_queue) || held_back_ > 0) return false;
  candidates_.clear();
  for (auto& [id, runner] : runners_)
    if (runner.run_queue == &run_queue && may_prefetch(runner)) candidates_.push_back(&runner);
  const auto emptier = [](const Runner* a, const Runner* b) { return a->channel.size() < b->channel.size(); };
  std::stable_sort(candidates_.begin(), candidates_.end(), emptier);
  // Round robin over channels of equal length: the candidates before `next` have got one task each in this
  // round.
  for (std::size_t next = 0; run_queue.has_before(until);) {
    Task& task = *run_queue.tasks.front();
    if (candidates_.empty() || !may_wait_behind(task)) return false;
    Runner& runner = *candidates_[next];
    if (has_room(runner, task)) {
      run(runner, task);
      ++next;
    } else {
      candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(next));
    }
    const bool round_is_over =
        next == candidates_.size() || (next > 0 && !emptier(candidates_[next], candidates_[next - 1]));
    if (round_is_over) next = 0;
  }
  return true;
}

/// Rebalancing (work stealing): where no task is queued, takes tasks back from busy channels for the idle
/// runners of the program.
void WorkerCore::rebalance() {
  for (auto& [name, program] : programs_) {
    RunQueue& run_queue = program.run_queues[0];
    if (!run_queue.tasks.empty() || program.runners < 2) continue;
    if (wide_ > 0 && busy_slots() >= settings_.hello.slots) continue;
    auto idle = std::count_if(runners_.begin(), runners_.end(), [&](const auto& entry) {
      return entry.second.run_queue == &run_queue && entry.second.idle();
    });
    for (auto next = runners_.begin(); next != runners_.end() && idle > 0; ++next) {
      Runner& runner = next->second;
      if (runner.run_queue != &run_queue || runner.channel.size() < 2 || runner.unknown_lengths > 0 ||
          runner.already_rebalanced)
        continue;
      const double behind_us = runner.channel_us - static_cast<double>(runner.channel.front()->estimate_us);
      if (behind_us < static_cast<double>(settings_.worth_rebalancing.count())) continue;
      runner.already_rebalanced = true;  // what the runner does not give back now has started
      take_back_unstarted(runner);
      --idle;
    }
  }
}

/// Whether all tasks in the runner's channel are expected to be short.
bool WorkerCore::may_prefetch(const Runner& runner) const {
  if (runner.state != Runner::State::ready || runner.stop_stage != Runner::StopStage::none ||
      runner.taking_back)
    return false;
  // The front task runs longer than expected.
  if (!runner.channel.empty() && runner.channel.front()->started_reported) return false;
  return runner.unknown_lengths == 0 && now_ - runner.since < settings_.start_notice;
}

bool WorkerCore::has_room(const Runner& runner, const Task& task) const {
  if (runner.channel.size() > settings_.prefetch_max || is_used_up(runner)) return false;
  if (runner.channel.size() < 2) return true;
  const auto room_us = static_cast<double>(settings_.prefetch_time.count());
  return runner.channel_us <= room_us && task.spec->estimate_us <= room_us / 2;
}

/// Whether the task may be queued behind a running one: it takes one slot and no indices, and the run times
/// of its spec have been short.
bool WorkerCore::may_wait_behind(const Task& task) const {
  if (task.spec->wide) return false;
  const double us = task.spec->estimate_us;
  return us >= 0 && !task.spec->takes_indices && us <= static_cast<double>(settings_.behind_max.count());
}

/// Starvation guard: an older task of another queue has no runner at all, so the busy runners get no further
/// tasks until one of them can be ended.
bool WorkerCore::older_queue_waits(const RunQueue& run_queue) const {
  for (const auto& [name, program] : programs_) {
    for (const RunQueue& other : program.run_queues) {
      if (&other == &run_queue || other.tasks.empty()) continue;
      if (other.tasks.front()->order > run_queue.tasks.front()->order) continue;
      if (count(other, Runner::State::ready) + count(other, Runner::State::starting) == 0) return true;
    }
  }
  return false;
}

void WorkerCore::run(Runner& runner, Task& task) {
  if (!has_function(task)) {
    const wire::TaskSpec& spec = *task.spec->content;
    wire::ErrorInfo info = error(
        fmt::format("the function '{}' is not in {} as it runs on this worker: it was registered by "
                    "something that a runner does "
                    "not execute, such as main, or is in a library of the system that is another one here",
                    spec.function, spec.program.name));
    info.type = wire::kMissingFunction;
    return fail(task, wire::Outcome::cannot_start, std::move(info));
  }
  runner.run_queue->tasks.remove(task);
  task.stage = TaskStage::in_runner;
  task.runner = runner.id;
  task.ordinal = ++runner.sent;
  task.estimate_us = may_wait_behind(task) ? static_cast<float>(std::max(task.spec->estimate_us, 1.0)) : -1;
  runner.channel.push_back(&task);
  if (task.estimate_us >= 0) {
    runner.channel_us += task.estimate_us;
  } else {
    ++runner.unknown_lengths;
  }
  if (task.spec->content->timeout_ms != 0) ++runner.with_timeout;
  if (runner.channel.size() == 1) {
    runner.since = now_;
    runner.check_deadline = now_ + start_notice_of(runner);
  } else if (runner.with_timeout > 0) {  // the task may start before earlier answers are read
    runner.check_deadline = earlier(runner.check_deadline, now_ + settings_.start_notice);
  }
  actions_->emplace_back(std::in_place_type<RunTask>, runner.id, task.ordinal, task.key.id,
                         task.spec->content, task.execution, task.payload, task.spec->function_index,
                         task.spec->takes_indices ? runner.indices : LocalSharedPtr<const Indices>());
}

/// Takes resource indices for `task`, which this idle runner is about to get.
bool WorkerCore::take_indices(Runner& runner, const Task& task) {
  const Amounts& amounts = task.spec->content->resources;
  if (runner.indices) return indices_.take_again(amounts, *runner.indices);
  auto taken = indices_.take(amounts);
  if (taken) runner.indices = LocalSharedPtr<const Indices>::make(*std::move(taken));
  return taken.has_value();
}

void WorkerCore::release_indices(const Runner& runner, const Task& task) {
  indices_.give_back(task.spec->content->resources, *runner.indices);
}

/// All slots are taken, and the oldest task needs other indices than those of the queue's idle runners: ends
/// one of these runners to make room.
void WorkerCore::end_unsuited(const RunQueue& run_queue) {
  if (!free_slots_.empty() || !indices_.would_fit(run_queue.tasks.front()->spec->content->resources)) return;
  Runner* unsuited = nullptr;
  for (auto& [id, runner] : runners_) {
    if (runner.run_queue != &run_queue) continue;
    if (runner.state != Runner::State::ready) return;  // a runner is starting or ending already
    if (runner.idle() && unsuited == nullptr) unsuited = &runner;
  }
  if (unsuited != nullptr) end(*unsuited);
}

/// Updates the runner's totals for a task that has left its channel.
void WorkerCore::count_out(Runner& runner, const Task& task) {
  if (task.spec->takes_indices) release_indices(runner, task);
  if (task.estimate_us >= 0) {
    runner.channel_us -= task.estimate_us;
  } else {
    --runner.unknown_lengths;
  }
  if (task.spec->content->timeout_ms != 0) --runner.with_timeout;
}

/// Looks the client's function up in the table of the program's runners. False: the program does not have it.
bool WorkerCore::find_function(SpecState& spec) {
  const auto& functions = spec.program->functions;
  const auto found =
      std::find_if(functions.begin(), functions.end(), [&](const runner::FunctionEntry& entry) {
        return entry.signature == spec.content->signature && same_name(entry.name, spec.content->function);
      });
  if (found == functions.end()) return false;
  spec.function_index = static_cast<std::uint32_t>(found - functions.begin());
  spec.function_known = true;
  return true;
}

std::uint32_t WorkerCore::slots_of(const Task& task) const {
  return std::clamp(task.spec->content->threads, 1U, settings_.hello.slots);
}

/// Slots that are taken by running tasks.
std::uint32_t WorkerCore::busy_slots() const {
  std::uint32_t busy = 0;
  for (const auto& [id, runner] : runners_)
    if (!runner.channel.empty()) busy += slots_of(*runner.channel.front());
  return busy;
}

/// Whether enough slots are free for `task`. A task of several slots that has to wait reserves them against
/// later tasks, so that it is not starved and gets them one by one.
bool WorkerCore::has_slots_for(const Task& task) {
  if (wide_ == 0) return true;
  const std::uint32_t needs = slots_of(task);
  if (busy_slots() + needs + held_back_ <= settings_.hello.slots) return true;
  if (needs > 1) held_back_ = std::max(held_back_, needs);
  return false;
}

std::size_t WorkerCore::count(const RunQueue& run_queue, Runner::State state) const {
  return static_cast<std::size_t>(std::count_if(runners_.begin(), runners_.end(), [&](const auto& entry) {
    return entry.second.run_queue == &run_queue && entry.second.state == state;
  }));
}

}  // namespace weft::worker
