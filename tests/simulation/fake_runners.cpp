// SPDX-License-Identifier: MIT
#include "tests/simulation/fake_runners.hpp"

#include <fmt/format.h>

#include <csignal>

namespace weft::sim {

FakeRunners::Runner* FakeRunners::find(worker::RunnerId id) {
  const auto found = runners_.find(id);
  return found == runners_.end() ? nullptr : &found->second;
}

// ---- what the agent orders ----

void FakeRunners::perform(const worker::StartRunner& start) {
  if (start.slot >= agent_.slots) fail(fmt::format("{} has no slot {}", agent_.name, start.slot));
  for (const auto& [id, runner] : runners_) {
    if (runner.monitor.slot() == start.slot)
      fail(fmt::format("slot {} of {} has two runners", start.slot, agent_.name));
  }
  worker::RunnerMonitor monitor({.id = start.runner,
                                 .slot = start.slot,
                                 .program = start.program.file.name,
                                 .worker = agent_.name,
                                 .memory_limit = {}});
  auto process = std::make_unique<FakeRunnerProcess>(world_, oracle_, scenario_, agent_, start.program);
  const auto added = runners_.emplace(start.runner, Runner{std::move(monitor), std::move(process)});
  keep_polling(added.first->second);
}

void FakeRunners::perform(const worker::RunTask& run) {
  Runner* runner = find(run.runner);
  if (runner == nullptr) return;  // it has just died
  keep_polling(*runner);
  runner->monitor.on_run(run.ordinal, run.id);
  runner->process->run(run);
}

void FakeRunners::perform(const worker::RequestStop& stop) {
  if (Runner* runner = find(stop.runner)) runner->process->request_stop(stop.ordinal);
}

void FakeRunners::perform(const worker::TakeBackTasks& take_back) {
  Runner* runner = find(take_back.runner);
  if (runner == nullptr || !runner->monitor.has_tasks())
    return agent_.emit(worker::TasksTakenBack{take_back.runner, UINT64_MAX});
  keep_polling(*runner);
  worker::RunnerMonitor& monitor = runner->monitor;
  const std::uint64_t started =
      runner->process->take_back_unstarted(monitor.first_ordinal(), monitor.last_ordinal());
  monitor.on_taken_back(started);
  agent_.emit(worker::TasksTakenBack{take_back.runner, started});
}

void FakeRunners::perform(const worker::EndRunner& end) {
  Runner* runner = find(end.runner);
  if (runner == nullptr) return;
  if (runner->monitor.has_tasks()) fail(fmt::format("{} ends a runner that is busy", agent_.name));
  runner->monitor.on_end();
  runner->process->end_channel();
}

void FakeRunners::perform(const worker::KillRunner& kill) {
  if (Runner* runner = find(kill.runner)) runner->process->kill(kill.signal);
}

// ---- what runners do, see runner_pool.cpp ----

void FakeRunners::keep_polling(Runner& runner) {
  if (runner.monitor.keep_polling()) runner.process->awake();
}

bool FakeRunners::sleep() {
  bool quiet = true;
  for (auto& [id, runner] : runners_) {
    if (!runner.monitor.is_being_polled()) continue;
    runner.process->flush();
    const bool asleep = runner.process->sleep();
    runner.monitor.on_sleep(asleep);
    quiet = quiet && asleep;
  }
  return quiet;
}

void FakeRunners::take_ready_sources(Runner& runner) {
  if (runner.process->line_is_readable()) runner.monitor.on_readable(worker::RunnerSource::line);
  if (runner.process->socket_is_readable()) runner.monitor.on_readable(worker::RunnerSource::socket);
  if (runner.process->output_is_readable()) runner.monitor.on_readable(worker::RunnerSource::output);
}

void FakeRunners::collect(Time now, std::vector<worker::Event>& events) {
  plan_.begin_turn(now, false, runners_.size());
  for (auto next = runners_.begin(); next != runners_.end();) {
    Runner& runner = (next++)->second;  // `runner` may be erased below
    take_ready_sources(runner);
    if (plan_.checks(runner.monitor)) check_runner(runner, now, events);
  }
}

void FakeRunners::check_runner(Runner& runner, Time now, std::vector<worker::Event>& events) {
  using Step = worker::RunnerMonitor::Step;
  worker::RunnerMonitor& monitor = runner.monitor;
  FakeRunnerProcess& process = *runner.process;
  keep_polling(runner);
  monitor.begin_check();
  for (Step step; (step = monitor.next_step()) != Step::none;) {
    switch (step) {
      case Step::read_death:
        if (const auto death = process.death()) monitor.on_death(death->signal, death->exit_code);
        break;
      case Step::read_socket: {
        const bool open = process.read_socket();
        monitor.on_socket(open);
        if (!open) plan_.add_unpollable();
        break;
      }
      case Step::read_output:
      case Step::read_all_output:  // of stderr
        if (process.output_is_readable()) monitor.on_line(process.read_output(), true);
        break;
      case Step::read_message:
        read_message(runner, events);
        break;
      case Step::log_output:
        break;
      case Step::read_page: {
        const std::uint64_t started = process.started();
        monitor.on_page(started, process.started_at(), now, events);
        break;
      }
      case Step::reap:
        return reap(runner, events);
      case Step::none:
        break;
    }
    monitor.check_invariants();
  }
}

void FakeRunners::read_message(Runner& runner, std::vector<worker::Event>& events) {
  runner::Received received = runner.process->receive();
  if (received.kind == runner::Received::Kind::again) return runner.monitor.on_no_message();
  if (received.kind == runner::Received::Kind::garbage)
    return runner.monitor.on_garbage(received.reason, events);
  if (runner.monitor.on_message(*received.message, events) != worker::RunnerMonitor::Use::result) return;
  auto& done = std::get<runner::TaskDone>(*received.message);
  const bool large = done.large_bytes > 0;
  wire::Payload payload = large ? runner.process->content_of(received.fd) : std::move(done.payload);
  if (!runner.monitor.accepts(done, !large || payload.blob().size == done.large_bytes, events))
    fail("the answer of a runner is not accepted");
  runner.monitor.on_result(done, std::move(payload), now_ms(), events);
}

void FakeRunners::reap(Runner& runner, std::vector<worker::Event>& events) {
  events.push_back(runner.monitor.end_of_life(runner.process->started(), std::nullopt, now_ms()));
  if (runner.monitor.is_unpollable()) plan_.remove_unpollable();
  runners_.erase(runner.monitor.id());
}

/// Errors say when an execution ended: those of two executions differ.
std::int64_t FakeRunners::now_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(world_.now().time_since_epoch()).count();
}

double FakeRunners::memory() const {
  double memory = 0;
  for (const auto& [id, runner] : runners_) memory += runner.process->memory();
  return memory;
}

// ---- faults ----

void FakeRunners::end_all() {
  for (auto& [id, runner] : runners_) runner.process->vanish();
  runners_.clear();
  plan_ = {};
  early_victims_ = 0;
}

FakeRunnerProcess* FakeRunners::any(bool (FakeRunnerProcess::*suits)() const) {
  std::vector<FakeRunnerProcess*> found;
  for (auto& [id, runner] : runners_)
    if (runner.process->is_alive() && (runner.process.get()->*suits)()) found.push_back(runner.process.get());
  return found.empty() ? nullptr : found[random_.below(found.size())];
}

/// One that is not ready would be a program that does not start, and so would three in succession that have
/// not begun a task.
FakeRunnerProcess* FakeRunners::victim() {
  constexpr int kEarlyMax = 2;
  FakeRunnerProcess* victim =
      any(early_victims_ < kEarlyMax ? &FakeRunnerProcess::is_ready : &FakeRunnerProcess::has_begun);
  if (victim != nullptr && !victim->has_begun()) ++early_victims_;
  return victim;
}

bool FakeRunners::crash_one() {
  FakeRunnerProcess* victim = this->victim();
  if (victim == nullptr) return false;
  victim->die(random_.chance(0.5) ? SIGSEGV : SIGKILL, 0, End::died);
  return true;
}

bool FakeRunners::break_one() {
  FakeRunnerProcess* victim = this->victim();
  if (victim == nullptr) return false;
  victim->write_garbage();
  return true;
}

}  // namespace weft::sim
