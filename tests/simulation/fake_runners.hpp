// SPDX-License-Identifier: MIT
// FakeRunners: the runners of one simulated worker. Stands in for worker::RunnerPool: the real RunnerDriver,
// RunnerMonitor and PollPlan, over simulated processes with real channels.
#pragma once

#include <memory>

#include "tests/simulation/fake_runner_process.hpp"
#include "worker/runners/runner_driver.hpp"

namespace weft::sim {

struct FakeRunner {
  worker::RunnerMonitor monitor;
  std::unique_ptr<FakeRunnerProcess> process;
};

class FakeRunners : public worker::RunnerDriver<FakeRunners, FakeRunner> {
 public:
  FakeRunners(World& world, Oracle& oracle, const Scenario& scenario, FakeAgent agent)
      : world_(world),
        oracle_(oracle),
        scenario_(scenario),
        agent_(std::move(agent)),
        random_(world.random().fork()) {}

  void perform(const worker::StartRunner& start);
  void perform(const worker::RunTask& run);
  void perform(const worker::RequestStop& stop);
  void perform(const worker::TakeBackTasks& take_back);
  void perform(const worker::EndRunner& end);
  void perform(const worker::KillRunner& kill);

  void collect(Time now, Events& events);

  /// The agent has died, and its runners die with it.
  void end_all();
  /// crash_one() crashes some runner; break_one() has the task in some runner write garbage to the channel.
  /// False: no runner is suitable.
  bool crash_one();
  bool break_one();
  bool empty() const { return runners_.empty(); }
  /// The fraction of the worker's memory that all runners use.
  double memory() const;

 private:
  friend class worker::RunnerDriver<FakeRunners, FakeRunner>;
  using Runner = FakeRunner;

  // for RunnerDriver
  void send(Runner& runner, const worker::RunTask& run) { runner.process->run(run); }
  void on_socket_closed(Runner& /*runner*/) {}
  void read_output(Runner& runner, std::size_t bytes_max);
  void log_output(Runner& /*runner*/) {}
  void use(Runner& runner, worker::RunnerMonitor::Use use, runner::Received received, Events& events);
  void reap(Runner& runner, Events& events);

  FakeRunnerProcess* victim();
  FakeRunnerProcess* any(bool (FakeRunnerProcess::*suits)() const);
  std::int64_t now_ms() const;

  World& world_;
  Oracle& oracle_;
  const Scenario& scenario_;
  FakeAgent agent_;
  Random random_;
  int early_victims_ = 0;  // runners that faults killed before they began a task
};

}  // namespace weft::sim
