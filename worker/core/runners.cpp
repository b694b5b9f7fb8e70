// SPDX-License-Identifier: MIT
// WorkerCore's runners: their starts, the answers to their tasks, and the escalation from a stop request over
// SIGTERM to SIGKILL. runner_deaths.cpp has what follows from their deaths.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

/// Error text naming the functions that only one of two runners of the same program has.
std::string differing(const ProgramState& program, const std::vector<runner::FunctionEntry>& functions) {
  std::vector<std::string> names;
  for (const auto* from : {&program.functions, &functions}) {
    const auto* other = from == &functions ? &program.functions : &functions;
    for (const runner::FunctionEntry& entry : *from) {
      if (std::find(other->begin(), other->end(), entry) == other->end())
        names.push_back(fmt::format("'{}' ({})", entry.name, entry.signature));
    }
  }
  return fmt::format("the functions of {} differ from one start to the next, so none can be called: {}",
                     program.name(), fmt::join(names, ", "));
}

/// Prefetches the cache lines of a task that has been queued long enough to have left the processor's cache.
void warm_up(const Task& task) {
  constexpr std::size_t kLineBytes = 64;
  for (std::size_t at = 0; at < sizeof task; at += kLineBytes)
    __builtin_prefetch(reinterpret_cast<const char*>(&task) + at, 1);
}

}  // namespace

Runner* WorkerCore::find(RunnerId id) {
  const auto found = runners_.find(id);
  return found == runners_.end() ? nullptr : &found->second;
}

void WorkerCore::remove(RunnerId id) {
  const auto found = runners_.find(id);
  --found->second.run_queue->program->runners;
  free_slots_.insert(found->second.slot);
  runners_.erase(found);
  dispatch_needed_ = programs_changed_ = true;
}

// ---- starting ----

void WorkerCore::on(const RunnerReady& event) {
  Runner* runner = find(event.runner);
  if (runner == nullptr || runner->state != Runner::State::starting) return;
  if (runner->stop_stage == Runner::StopStage::killed) return;  // killed while it was starting
  ProgramState& program = *runner->run_queue->program;
  if (program.functions.empty()) program.functions = event.functions;
  // Tasks refer to functions by their index in this table, so it must be the same for all runners.
  if (program.functions != event.functions) return kill_runner(*runner, differing(program, event.functions));
  runner->state = Runner::State::ready;
  runner->since = runner->ready_at = now_;
  program.bad.clear();
  program.bad_until.reset();
  dispatch_needed_ = true;
}

void WorkerCore::on(const RunnerFailedToStart& event) {
  Runner* runner = find(event.runner);
  if (runner == nullptr) return;
  ProgramState& program = *runner->run_queue->program;
  const std::string why = runner->kill_reason.empty() ? event.text : runner->kill_reason;
  remove(event.runner);
  refuse_program(program, why);
}

/// Fails the program's queued tasks, and does not start the program again for Settings::bad_program.
void WorkerCore::refuse_program(ProgramState& program, const std::string& why) {
  program.bad = why;
  program.bad_until = now_ + settings_.bad_program;
  notify({.kind = NoticeKind::program_refused, .detail = why});
  fail_queued(program);
}

/// Fails the queued tasks that would need a new runner of this program; tasks whose queue still has a ready
/// runner stay.
void WorkerCore::fail_queued(ProgramState& program) {
  std::vector<Task*> failing;
  for (RunQueue& run_queue : program.run_queues) {
    if (count(run_queue, Runner::State::ready) > 0) continue;
    for (Task* task = run_queue.tasks.front(); task != nullptr; task = TaskQueue::after(*task))
      failing.push_back(task);
  }
  for (Task* task : failing) fail(*task, wire::Outcome::cannot_start, error(program.bad));
}

// ---- running ----

void WorkerCore::on(const TaskStarted& event) {
  Runner* runner = find(event.runner);
  if (runner == nullptr) return;
  for (Task* task : runner->channel) {
    if (task->ordinal != event.ordinal || task->started_at) continue;
    // A task can write anything to the page; no task starts before its runner is ready.
    task->started_at = std::clamp(event.at, runner->ready_at, now_);
    if (task == runner->channel.front()) runner->check_deadline = now_;
  }
  check_started(*runner);
}

/// How long the front task must run before STARTED is sent. STARTED costs as much as a result on every hop,
/// so tasks of a spec that has run long before are reported only when they take twice as long as expected.
Duration WorkerCore::start_notice_of(const Runner& runner) const {
  if (runner.with_timeout > 0) return settings_.start_notice;
  const Duration late(static_cast<std::int64_t>(2 * runner.channel.front()->estimate_us));
  return std::clamp(late, settings_.start_notice, settings_.start_notice_max);
}

/// Watchdog of the front task: has it started, is a STARTED due, does it hold up the tasks behind it, has its
/// timeout expired?
void WorkerCore::check_started(Runner& runner) {
  if (runner.channel.empty() || !runner.check_deadline || now_ < *runner.check_deadline) return;
  Task& task = *runner.channel.front();
  if (!task.started_at) {
    runner.check_deadline = now_ + settings_.recheck_interval;
    return;
  }
  runner.check_deadline.reset();
  if (const Time notice = *task.started_at + start_notice_of(runner); now_ < notice) {
    runner.check_deadline = notice;
  } else if (!std::exchange(task.started_reported, true) && !task.unwanted) {
    send(wire::Started{task.key.id.session, {{task.key.id.seq, task.key.attempt}}});
  }
  if (task.started_reported && runner.channel.size() > 1) {
    const Duration expected(static_cast<std::int64_t>(task.estimate_us));
    const Time late = *task.started_at + std::max(settings_.start_notice, 2 * expected);
    if (now_ >= late) {
      take_back_unstarted(runner);  // the tasks behind one that runs longer than expected need not wait
    } else {
      runner.check_deadline = late;
    }
  }
  if (task.spec->content->timeout_ms == 0 || task.stop != StopReason::none) return;
  const Time timeout = *task.started_at + milliseconds_of(task.spec->content->timeout_ms);
  if (now_ >= timeout) {
    stop_front(runner, StopReason::timed_out);
  } else {
    runner.check_deadline = earlier(runner.check_deadline, timeout);
  }
}

void WorkerCore::on(const TaskFinished& event) {
  Runner* runner = find(event.runner);
  if (runner == nullptr) return;
  if (runner->channel.empty() || runner->channel.front()->ordinal != event.ordinal) {
    return kill_runner(*runner, "its runner answered a task out of turn");
  }
  Task& task = *runner->channel.front();
  runner->channel.pop_front();
  count_out(*runner, task);
  next_front(*runner);
  if (event.ordinal == 1) runner->run_queue->program->early_deaths = 0;
  dispatch_needed_ = true;

  const auto run_us = static_cast<double>(event.run_us);
  double& estimate = task.spec->estimate_us;
  estimate = estimate < 0 ? run_us : estimate + Pacing::kNewestWeight * (run_us - estimate);

  const bool last_task = runner->run_queue->alone || (is_used_up(*runner) && runner->channel.empty());
  if (last_task && runner->state == Runner::State::ready) end(*runner);
  const auto timeout_us = static_cast<std::uint64_t>(milliseconds_of(task.spec->content->timeout_ms).count());
  if (task.stop == StopReason::cancelled) {
    // A result produced after the stop request may be partial: it is not the function's value.
    fail_in_runner(task, wire::Outcome::cancelled, "cancelled while it ran", event.ended_ms, event.run_us);
  } else if (task.stop == StopReason::timed_out && event.run_us > timeout_us) {
    fail_timed_out(task, event.ended_ms, event.run_us);
  } else if (event.outcome == wire::Outcome::ok) {
    finish(task, wire::Outcome::ok, event.payload, event.run_us);
  } else {
    auto info = event.payload.is_blob() ? Result<wire::ErrorInfo>(Fault{""})
                                        : wire::decode_error(event.payload.inline_bytes());
    wire::ErrorInfo named = error(info ? info->message : "its error could not be decoded");
    if (info) named.type = std::move(info->type);
    if (info) named.directory = std::move(info->directory);
    named.ended_ms = event.ended_ms;
    named.started_ms = event.ended_ms - static_cast<std::int64_t>(event.run_us / 1000);
    fail(task, wire::Outcome::failed, std::move(named), event.run_us);
  }
  if (event.payload.is_blob()) blobs_.discard_result(event.payload.blob(), *actions_);
}

void WorkerCore::on(const TasksTakenBack& event) {
  Runner* runner = find(event.runner);
  if (runner == nullptr || !runner->taking_back) return;
  runner->taking_back = false;
  dispatch_needed_ = true;
  if (event.started > runner->sent || event.started + runner->channel.size() < runner->sent) return;
  while (runner->sent > event.started) {
    Task& task = *runner->channel.back();
    runner->channel.pop_back();
    --runner->sent;
    count_out(*runner, task);
    if (task.stop == StopReason::cancelled) {
      fail(task, wire::Outcome::cancelled, error("cancelled before it started"));
    } else {
      put_back(task);
    }
  }
}

/// Takes back the tasks that the runner has not started.
void WorkerCore::take_back_unstarted(Runner& runner) {
  if (runner.state != Runner::State::ready || std::exchange(runner.taking_back, true)) return;
  actions_->push_back(TakeBackTasks{runner.id});
}

/// The front of the channel has changed, or the channel has become empty.
void WorkerCore::next_front(Runner& runner) {
  // A task that was asked to stop has ended: the escalation ends, and the runner can be reused.
  if (runner.state == Runner::State::ready) {
    runner.stop_stage = Runner::StopStage::none;
    runner.escalation_due.reset();
    runner.killed_for = 0;
  }
  runner.since = now_;
  runner.already_rebalanced = false;
  runner.check_deadline.reset();
  if (runner.channel.empty()) return;
  Task& front = *runner.channel.front();
  runner.check_deadline = now_ + start_notice_of(runner);
  if (front.stop != StopReason::none) stop_front(runner, front.stop);
  if (runner.channel.size() > 1) warm_up(*runner.channel[1]);
}

// ---- stopping ----

void WorkerCore::stop_front(Runner& runner, StopReason reason) {
  Task& front = *runner.channel.front();
  front.stop = reason;
  if (runner.state != Runner::State::ready || runner.stop_stage != Runner::StopStage::none) return;
  actions_->push_back(RequestStop{runner.id, front.ordinal});
  runner.stop_stage = Runner::StopStage::asked;
  runner.escalation_due = now_ + settings_.escalation_interval;
  runner.killed_for = front.ordinal;
}

/// Escalation: SIGTERM after a stop request that had no effect, SIGKILL after SIGTERM.
void WorkerCore::escalate(Runner& runner) {
  if (!runner.escalation_due || now_ < *runner.escalation_due) return;
  runner.state = Runner::State::ending;
  const bool first = runner.stop_stage == Runner::StopStage::asked;
  actions_->push_back(KillRunner{runner.id, first ? SIGTERM : SIGKILL});
  runner.stop_stage = first ? Runner::StopStage::terminated : Runner::StopStage::killed;
  runner.escalation_due.reset();
  if (first) runner.escalation_due = now_ + settings_.escalation_interval;
}

/// Ends a runner. REQUIRES: it is idle.
void WorkerCore::end(Runner& runner) {
  runner.state = Runner::State::ending;
  actions_->push_back(EndRunner{runner.id});
  runner.stop_stage = Runner::StopStage::asked;
  runner.escalation_due = now_ + settings_.escalation_interval;
}

void WorkerCore::kill_runner(Runner& runner, const std::string& text) {
  if (runner.stop_stage == Runner::StopStage::killed) return;
  runner.kill_reason = text;
  if (!runner.channel.empty()) runner.killed_for = runner.channel.front()->ordinal;
  // A starting runner stays in that state: its death is a failed start.
  if (runner.state == Runner::State::ready) runner.state = Runner::State::ending;
  actions_->push_back(KillRunner{runner.id, SIGKILL});
  runner.stop_stage = Runner::StopStage::killed;
  runner.escalation_due.reset();
  runner.check_deadline.reset();
}

void WorkerCore::on(const RunnerBroken& event) {
  if (Runner* runner = find(event.runner)) kill_runner(*runner, event.text);
}

// ---- time ----

void WorkerCore::tick_runners() {
  for (auto& [id, runner] : runners_) {
    escalate(runner);
    check_started(runner);
    if (runner.state == Runner::State::starting && runner.stop_stage == Runner::StopStage::none &&
        now_ >= runner.since + settings_.start_timeout) {
      kill_runner(
          runner,
          fmt::format("{} was not ready within {} s", runner.run_queue->program->name(),
                      std::chrono::duration_cast<std::chrono::seconds>(settings_.start_timeout).count()));
    }
    const bool named = runner.run_queue->program->specs > 0;
    if (runner.idle() && !named && now_ >= runner.since + settings_.idle_runner) end(runner);
  }
}

std::optional<Time> WorkerCore::runners_deadline() const {
  std::optional<Time> due;
  for (const auto& [id, runner] : runners_) {
    due = earlier(due, earlier(runner.escalation_due, runner.check_deadline));
    if (runner.state == Runner::State::starting && runner.stop_stage == Runner::StopStage::none) {
      due = earlier(due, runner.since + settings_.start_timeout);
    }
    if (runner.idle() && runner.run_queue->program->specs == 0)
      due = earlier(due, runner.since + settings_.idle_runner);
  }
  return due;
}

void WorkerCore::forget_unused_programs() {
  std::erase_if(programs_, [this](const auto& entry) {
    const ProgramState& program = entry.second;
    const bool remembered_bad = program.bad_until && now_ < *program.bad_until;
    return program.specs == 0 && program.tasks == 0 && program.runners == 0 && !remembered_bad;
  });
}

}  // namespace weft::worker
