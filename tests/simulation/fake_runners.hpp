// SPDX-License-Identifier: MIT
// FakeRunners: the runners of one simulated worker, as worker::RunnerPool has them: the real RunnerMonitor
// and PollPlan, over simulated processes with real channels.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "tests/simulation/fake_runner_process.hpp"
#include "worker/runners/poll_plan.hpp"
#include "worker/runners/runner_monitor.hpp"

namespace weft::sim {

class FakeRunners {
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

  // As RunnerPool has them:
  bool sleep();
  void collect(Time now, std::vector<worker::Event>& events);
  std::optional<Time> deadline() const { return plan_.deadline(); }

  /// The agent is gone, and its runners with it.
  void end_all();
  /// Some runner crashes, or the task in it breaks the rules of its channel. False: there is none.
  bool crash_one();
  bool break_one();
  bool empty() const { return runners_.empty(); }
  /// Part of the worker's memory that they use.
  double memory() const;

 private:
  struct Runner {
    worker::RunnerMonitor monitor;
    std::unique_ptr<FakeRunnerProcess> process;
  };

  Runner* find(worker::RunnerId id);
  static void keep_polling(Runner& runner);
  static void take_ready_sources(Runner& runner);
  void check_runner(Runner& runner, Time now, std::vector<worker::Event>& events);
  void read_message(Runner& runner, std::vector<worker::Event>& events);
  void reap(Runner& runner, std::vector<worker::Event>& events);
  FakeRunnerProcess* victim();
  FakeRunnerProcess* any(bool (FakeRunnerProcess::*suits)() const);
  std::int64_t now_ms() const;

  World& world_;
  Oracle& oracle_;
  const Scenario& scenario_;
  FakeAgent agent_;
  Random random_;
  worker::PollPlan plan_;
  std::map<worker::RunnerId, Runner> runners_;
  int early_victims_ = 0;  // of faults: runners that had not begun a task
};

}  // namespace weft::sim
