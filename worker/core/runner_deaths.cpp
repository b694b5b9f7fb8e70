// SPDX-License-Identifier: MIT
// WorkerCore when a runner has died: which of its tasks was running and is charged with the crash, which are
// queued again, and what the errors say.
#include <fmt/format.h>

#include "worker/core/exit_text.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

std::string how_it_ended(const RunnerDied& death) {
  return death.reason.empty() ? "its runner " + exit_text(death.signal, death.exit_code) : death.reason;
}

/// Whether the processor of this host lacks an instruction set extension that the program was built for.
bool is_for_another_processor(const RunnerDied& death) {
  return death.exit_code == runner::kExitInstructionSet &&
         death.stderr_tail.find(runner::kInstructionSetWords) != std::string::npos;
}

}  // namespace

void WorkerCore::on(const RunnerDied& event) {
  Runner* found = find(event.runner);
  if (found == nullptr) return;
  if (found->state == Runner::State::starting) {
    return on(RunnerFailedToStart{event.runner, how_it_ended(event)});
  }
  const Runner runner = std::move(*found);
  remove(event.runner);
  if (event.signal == 0 && event.exit_code == runner::kExitReplace) {
    notify({.kind = NoticeKind::runner_replaced, .numbers = {runner.slot}});
  } else if (runner.state == Runner::State::ready && runner.channel.empty()) {
    notify({.kind = NoticeKind::runner_ended, .detail = how_it_ended(event), .numbers = {runner.slot}});
  }
  const bool early = died_early(runner, event);
  for (Task* task : runner.channel) {
    if (task->spec->takes_indices) release_indices(runner, *task);
    settle_dead(event, runner, *task);
  }
  if (early) count_early_death(runner, event);
  if (is_for_another_processor(event)) refuse_program(*runner.run_queue->program, event.stderr_tail);
}

/// Whether the runner ended without a stop request, or was killed for breaking a rule, before it began the
/// first task sent to it.
bool WorkerCore::died_early(const Runner& runner, const RunnerDied& death) {
  const bool by_itself = runner.stop_stage == Runner::StopStage::none || !runner.kill_reason.empty();
  return by_itself && death.started == 0 && !runner.channel.empty() && runner.channel.front()->ordinal == 1 &&
         !runner.channel.front()->started_at;
}

/// An early death charges no task, so without this limit a program that never begins a task would be started
/// for ever.
void WorkerCore::count_early_death(const Runner& runner, const RunnerDied& death) {
  ProgramState& program = *runner.run_queue->program;
  if (++program.early_deaths < settings_.early_deaths_max) return;
  refuse_program(program, fmt::format("{} runners of {} in succession ended before they began a task; of the "
                                      "last: {}",
                                      program.early_deaths, program.name(),
                                      runner.kill_reason.empty() ? how_it_ended(death) : runner.kill_reason));
}

/// Settles a task whose runner has died. Only a task that was running is charged with the crash.
void WorkerCore::settle_dead(const RunnerDied& death, const Runner& runner, Task& task) {
  // A task can write anything to the page; an implausible value is taken to mean the first task of the
  // channel. The others start only after the first has been answered, and answers of a runner that is being
  // killed are not read. The ordinal of the first is computed, since the task itself may have been erased
  // already.
  const std::uint64_t front = runner.sent - runner.channel.size() + 1;
  const bool sensible = death.started <= runner.sent && death.started + 1 >= front;
  const bool by_page = sensible ? task.ordinal <= death.started : task.ordinal == front;
  const bool its_turn = task.ordinal == front || runner.killed_for != 0;
  const bool started = task.started_at || (by_page && its_turn);
  if (task.stop == StopReason::cancelled) {
    return fail_in_runner(task, wire::Outcome::cancelled, "cancelled while it ran", death.ended_ms);
  }
  if (!started) return put_back(task);
  // The stop was requested in this very step, after the crash: how long the task had run is not known.
  const bool just_asked = runner.escalation_due == now_ + settings_.escalation_interval;
  if (task.stop == StopReason::timed_out && !just_asked) return fail_timed_out(task, death.ended_ms);
  // The task started while its runner was being killed because of another task, so it is not charged.
  const bool bystander =
      runner.stop_stage >= Runner::StopStage::terminated && runner.killed_for != task.ordinal;
  if (bystander && task.spec->content->crash_limit > 1) return put_back(task);
  const wire::ErrorInfo info = crash_of(death, runner, task);
  // cannot_start lets the task run on another worker, uncharged. A task that must not start twice has
  // crashed.
  if (is_for_another_processor(death) && task.spec->content->crash_limit > 1)
    return fail(task, wire::Outcome::cannot_start, info);
  notify({.kind = NoticeKind::task_crashed,
          .name = task.spec->content->function,
          .detail = info.message,
          .task = task.key.id});
  fail(task, wire::Outcome::crashed, info);
}

wire::ErrorInfo WorkerCore::crash_of(const RunnerDied& death, const Runner& runner, const Task& task) const {
  const bool told = !runner.kill_reason.empty() && runner.killed_for == task.ordinal;
  wire::ErrorInfo info = error(told ? runner.kill_reason : how_it_ended(death));
  info.signal = death.signal;
  info.exit_code = death.exit_code;
  info.stderr_tail = death.stderr_tail;
  const std::string& directory = task.spec->content->directory;
  // A scratch directory is removed with its runner, so only another one is worth naming.
  if (directory.starts_with('/')) info.directory = directory;
  info.ended_ms = death.ended_ms;
  info.started_ms = death.ended_ms - (now_ - task.started_at.value_or(runner.since)).count() / 1000;
  return info;
}

/// Queues the task again, uncharged, in front of tasks that arrived later.
void WorkerCore::put_back(Task& task) {
  task.runner = task.ordinal = 0;
  task.started_at.reset();
  task.started_reported = false;
  enqueue(task);
}

// ---- tasks that failed in their runner ----

void WorkerCore::fail_in_runner(Task& task, wire::Outcome outcome, std::string message, std::int64_t ended_ms,
                                std::uint64_t run_us) {
  wire::ErrorInfo info = error(std::move(message));
  info.ended_ms = ended_ms;
  if (task.started_at) info.started_ms = ended_ms - (now_ - *task.started_at).count() / 1000;
  fail(task, outcome, std::move(info), run_us);
}

void WorkerCore::fail_timed_out(Task& task, std::int64_t ended_ms, std::uint64_t run_us) {
  fail_in_runner(task, wire::Outcome::timed_out,
                 fmt::format("it ran longer than its timeout of {} ms", task.spec->content->timeout_ms),
                 ended_ms, run_us);
}

}  // namespace weft::worker
