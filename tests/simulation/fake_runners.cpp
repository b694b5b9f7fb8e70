// SPDX-License-Identifier: MIT
#include "tests/simulation/fake_runners.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "common/wire/codec.hpp"

namespace weft::sim {

namespace {
using std::chrono::milliseconds;
constexpr int kFunctions = 4;  // of every program
}  // namespace

void FakeRunners::later(worker::RunnerId id, Duration delay, std::function<void(Runner&)> act) {
  world_.after(delay, [this, id, life = life_, act = std::move(act)] {
    const auto found = runners_.find(id);
    if (life == life_ && found != runners_.end()) act(found->second);
  });
}

void FakeRunners::later_in_turn(worker::RunnerId id, Duration delay, std::function<void(Runner&)> act) {
  later(id, delay, [turn = runners_.at(id).turn, act = std::move(act)](Runner& runner) {
    if (runner.turn == turn && runner.execution) act(runner);
  });
}

const Program* FakeRunners::program_of(const worker::Program& program) const {
  for (const Program& known : scenario_.programs) {
    if (known.file == program.file && known.libraries == program.libraries) return &known;
  }
  return nullptr;
}

// ---- what the agent orders ----

void FakeRunners::perform(const worker::StartRunner& start) {
  if (start.slot >= agent_.slots) fail(fmt::format("{} has no slot {}", agent_.name, start.slot));
  for (const auto& [id, runner] : runners_) {
    if (runner.slot == start.slot)
      fail(fmt::format("slot {} of {} has two runners", start.slot, agent_.name));
  }
  Runner& runner = runners_[start.runner];
  runner.slot = start.slot;
  runner.program = start.program;
  runner.stubborn = random_.chance(scenario_.stubborn_chance);
  world_.coverage().count("runner starts");
  if (random_.chance(scenario_.late_start_chance)) {
    world_.coverage().count("fault: runner never gets ready");
    return;
  }
  const Duration delay = random_.duration(milliseconds(1), milliseconds(random_.chance(0.1) ? 500 : 40));
  later(start.runner, delay, [this, id = start.runner](Runner& r) { get_ready(id, r); });
}

void FakeRunners::get_ready(worker::RunnerId id, Runner& runner) {
  worker::RunnerReady ready{id, {}};
  if (runner.program.kind == wire::TaskKind::program) {
    const Program* program = program_of(runner.program);
    if (program == nullptr) fail(fmt::format("{} starts a program that nobody ships", agent_.name));
    if (program->bad_on.contains(agent_.name)) {
      world_.coverage().count("fault: program does not start");
      runners_.erase(id);
      agent_.emit(worker::RunnerFailedToStart{id, "error while loading shared libraries"});
      return;
    }
    for (int i = 0; i < kFunctions; ++i) ready.functions.push_back({fmt::format("f{}", i), ""});
  } else {
    for (const std::string& function : agent_.functions) ready.functions.push_back({function, "long(long)"});
  }
  runner.ready = true;
  agent_.emit(std::move(ready));
}

void FakeRunners::perform(const worker::RunTask& run) {
  const auto found = runners_.find(run.runner);
  if (found == runners_.end()) return;  // it has just died
  if (!found->second.ready) fail(fmt::format("{} gives a task to a runner that is not ready", agent_.name));
  found->second.channel.push_back(run);
  begin_next(run.runner, found->second);
}

void FakeRunners::perform(const worker::RequestStop& stop) {
  const auto found = runners_.find(stop.runner);
  if (found == runners_.end()) return;
  Runner& runner = found->second;
  runner.stop = stop.ordinal;
  runner.asked = true;
  if (!runner.execution || runner.task.ordinal != stop.ordinal) return;
  oracle_.asked_to_stop(*runner.execution);
  if (!oracle_.script(runner.task.id).heeds_stop) return;
  later_in_turn(stop.runner, random_.duration(Duration(100), milliseconds(30)),
                [this, id = stop.runner](Runner& r) { finish(id, r, End::stopped); });
}

void FakeRunners::perform(const worker::TakeBackTasks& take_back) {
  const auto found = runners_.find(take_back.runner);
  if (found == runners_.end()) return;
  world_.coverage().count("tasks are taken back from a runner", found->second.channel.size());
  found->second.channel.clear();
  agent_.emit(worker::TasksTakenBack{take_back.runner, found->second.started});
}

void FakeRunners::perform(const worker::EndRunner& end) {
  const auto found = runners_.find(end.runner);
  if (found == runners_.end()) return;
  Runner& runner = found->second;
  if (runner.execution || !runner.channel.empty())
    fail(fmt::format("{} ends a runner that is busy", agent_.name));
  runner.ending = runner.asked = true;
  if (runner.stubborn) return world_.coverage().count("fault: runner does not leave");
  later(end.runner, random_.duration(Duration(100), milliseconds(10)),
        [this, id = end.runner](Runner&) { die(id, 0, End::died); });
}

void FakeRunners::perform(const worker::KillRunner& kill) {
  const auto found = runners_.find(kill.runner);
  if (found == runners_.end()) return;
  Runner& runner = found->second;
  if (runner.ready && !runner.asked) fail(fmt::format("{} kills a runner without a reason", agent_.name));
  world_.coverage().count(kill.signal == SIGKILL ? "ladder: SIGKILL" : "ladder: SIGTERM");
  if (kill.signal == SIGTERM) {
    const bool heeds = runner.execution ? oracle_.script(runner.task.id).heeds_term : !runner.stubborn;
    if (!heeds) return;
  }
  later(kill.runner, random_.duration(Duration(50), milliseconds(5)),
        [this, id = kill.runner, signal = kill.signal](Runner&) { die(id, signal, End::killed); });
}

// ---- executing ----

void FakeRunners::begin_next(worker::RunnerId id, Runner& runner) {
  if (runner.execution || runner.channel.empty()) return;
  runner.task = std::move(runner.channel.front());
  runner.channel.pop_front();
  ++runner.turn;
  runner.since = agent_.clock();
  runner.started = runner.task.ordinal;
  const TaskId& task = runner.task.id;
  const std::size_t before = oracle_.executions(task);
  runner.execution =
      oracle_.started(task, *runner.task.spec, agent_.host, agent_.epoch_of(task), runner.task.execution);
  const TaskScript& script = oracle_.script(task);
  if (!(runner.task.payload.without_tail() == Oracle::argument(task, script)))
    fail(fmt::format("task {} gets a wrong argument", task.text()));
  if (before < script.crashes) {
    const Duration until = random_.duration(Duration(0), script.run);
    later_in_turn(id, until, [this, id](Runner&) {
      world_.coverage().count("fault: task takes its runner along");
      die(id, SIGSEGV, End::died);
    });
  } else if (before < script.crashes + script.hangs) {
    world_.coverage().count("fault: task hangs");
  } else {
    const bool broken = agent_.name == scenario_.broken_worker;
    const bool throws = before < script.crashes + script.hangs + script.throws || broken;
    if (throws)
      world_.coverage().count(broken ? "fault: task throws on a broken worker" : "fault: task throws");
    later_in_turn(id, script.run,
                  [this, id, throws](Runner& r) { finish(id, r, throws ? End::threw : End::returned); });
  }
}

std::vector<worker::TaskStarted> FakeRunners::read_pages() {
  std::vector<worker::TaskStarted> news;
  for (auto& [id, runner] : runners_) {
    if (runner.started == runner.seen) continue;
    runner.seen = runner.started;
    news.push_back({id, runner.started, runner.since});
  }
  return news;
}

/// Errors say when an execution ended: those of two executions differ.
std::int64_t FakeRunners::now_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(world_.now().time_since_epoch()).count();
}

void FakeRunners::finish(worker::RunnerId id, Runner& runner, End end) {
  const TaskId task = runner.task.id;
  oracle_.ended(*runner.execution, end);
  runner.execution.reset();
  runner.memory_left = std::max(runner.memory_left, oracle_.script(task).memory_left);
  worker::TaskFinished done{id, runner.task.ordinal, wire::Outcome::ok, 0, {}, now_ms()};
  done.run_us = static_cast<std::uint64_t>((agent_.clock() - runner.since).count());
  if (end == End::threw) {
    done.outcome = wire::Outcome::failed;
    done.payload = wire::Payload(wire::encode_error({.type = "std::runtime_error", .message = "script"}));
  } else {
    done.payload = end == End::stopped ? wire::Payload("partial") : oracle_.value(task, agent_.incarnation());
  }
  agent_.emit(std::move(done));
  begin_next(id, runner);
}

void FakeRunners::die(worker::RunnerId id, int signal, End end) {
  const auto found = runners_.find(id);
  if (found == runners_.end()) return;
  const Runner runner = std::move(found->second);
  runners_.erase(found);
  if (runner.execution) oracle_.ended(*runner.execution, runner.broken ? End::died : end);
  if (!runner.ready) {
    agent_.emit(worker::RunnerFailedToStart{id, "it was killed"});
    return;
  }
  worker::RunnerDied died;
  died.runner = id;
  died.started = runner.started;
  died.signal = signal;
  died.ended_ms = now_ms();
  agent_.emit(std::move(died));
}

double FakeRunners::memory() const {
  double memory = 0;
  for (const auto& [id, runner] : runners_) {
    const double runs = runner.execution ? oracle_.script(runner.task.id).memory : 0;
    memory += std::max(runs, runner.memory_left);
  }
  return memory;
}

// ---- faults ----

void FakeRunners::end_all() {
  for (auto& [id, runner] : runners_) {
    if (runner.execution) oracle_.ended(*runner.execution, End::gone);
  }
  runners_.clear();
  ++life_;
}

bool FakeRunners::crash_one() {
  if (runners_.empty()) return false;
  auto victim = runners_.begin();
  std::advance(victim, static_cast<std::ptrdiff_t>(random_.below(runners_.size())));
  if (!victim->second.ready) return false;  // would be a program that does not start
  die(victim->first, random_.chance(0.5) ? SIGSEGV : SIGKILL, End::died);
  return true;
}

bool FakeRunners::break_one() {
  if (runners_.empty()) return false;
  auto victim = runners_.begin();
  std::advance(victim, static_cast<std::ptrdiff_t>(random_.below(runners_.size())));
  if (!victim->second.ready) return false;
  victim->second.asked = victim->second.broken = true;
  agent_.emit(worker::RunnerBroken{victim->first, "it wrote garbage to its channel"});
  return true;
}

}  // namespace weft::sim
