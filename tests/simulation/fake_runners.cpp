// SPDX-License-Identifier: MIT
#include "tests/simulation/fake_runners.hpp"

#include <fmt/format.h>

#include <csignal>

namespace weft::sim {

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

void FakeRunners::perform(const worker::RunTask& action) { run(action); }
void FakeRunners::perform(const worker::RequestStop& action) { request_stop(action); }
void FakeRunners::perform(const worker::TakeBackTasks& action) { agent_.emit(take_back_unstarted(action)); }
void FakeRunners::perform(const worker::KillRunner& action) { kill(action); }

void FakeRunners::perform(const worker::EndRunner& action) {
  const Runner* runner = find(action.runner);
  if (runner != nullptr && runner->monitor.has_tasks())
    fail(fmt::format("{} ends a runner that is busy", agent_.name));
  end(action);
}

// ---- what runners do ----

void FakeRunners::collect(Time now, Events& events) {
  for (auto& [id, runner] : runners_) {
    if (runner.process->line_is_readable()) runner.monitor.on_readable(worker::RunnerSource::line);
    if (runner.process->socket_is_readable()) runner.monitor.on_readable(worker::RunnerSource::socket);
    if (runner.process->output_is_readable()) runner.monitor.on_readable(worker::RunnerSource::output);
  }
  check_all(now, false, events);
  for (auto& [id, runner] : runners_) runner.monitor.check_invariants();
}

void FakeRunners::read_output(Runner& runner, std::size_t /*bytes_max*/) {
  if (runner.process->output_is_readable()) runner.monitor.on_line(runner.process->read_output(), true);
}

void FakeRunners::use(Runner& runner, worker::RunnerMonitor::Use use, runner::Received received,
                      Events& events) {
  if (use != worker::RunnerMonitor::Use::result) return;
  auto& done = std::get<runner::TaskDone>(*received.message);
  const bool large = done.large_bytes > 0;
  wire::Payload payload = large ? runner.process->content_of(received.fd) : std::move(done.payload);
  if (!runner.monitor.accepts(done, !large || payload.blob().size == done.large_bytes, events))
    fail("the answer of a runner is not accepted");
  runner.monitor.on_result(done, std::move(payload), now_ms(), events);
}

void FakeRunners::reap(Runner& runner, Events& events) {
  events.push_back(runner.monitor.end_of_life(runner.process->started(), std::nullopt, now_ms()));
  erase(runner);
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

/// Chooses a runner for a fault. If a runner crashed before it is ready, or three in succession before their
/// first task, the agent would take their program for one that cannot start.
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
