// SPDX-License-Identifier: MIT
// FakeRunners: the runner processes of one simulated worker, which execute what the scripts of their tasks
// say. They go on while their agent is frozen. What they have to say is handed to `emit`, in order.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "tests/simulation/oracle.hpp"
#include "worker/core/events.hpp"

namespace weft::sim {

class FakeRunners {
 public:
  /// How the agent and its host appear to a runner.
  struct Agent {
    HostId host = 0;
    std::string name;
    std::uint32_t slots = 0;
    std::vector<std::string> functions;
    std::function<void(worker::Event)> emit;
    std::function<Time()> clock;
    std::function<Uuid()> incarnation;
    std::function<std::uint64_t(const TaskId&)> epoch_of;  // of the broker that assigned it
  };

  FakeRunners(World& world, Oracle& oracle, const Scenario& scenario, Agent agent)
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

  /// What the pages say that the agent has not seen yet: it looks at all of them in each of its turns. What
  /// was over before it looked is never seen.
  std::vector<worker::TaskStarted> read_pages();
  /// The agent is gone, and its runners with it.
  void end_all();
  /// Some runner crashes, or misbehaves. False: there is none.
  bool crash_one();
  bool break_one();
  bool empty() const { return runners_.empty(); }
  /// Part of the worker's memory that they use.
  double memory() const;

 private:
  struct Runner {
    std::uint32_t slot = 0;
    worker::Program program;
    bool ready = false;
    bool ending = false;    // leaves when nothing is left to do
    bool stubborn = false;  // does not
    bool broken = false;    // so that its agent will kill it
    bool asked = false;     // to stop, to end, or was found broken: may be killed
    std::deque<worker::RunTask> channel;
    std::uint64_t started = 0;  // the page's
    std::uint64_t seen = 0;     // of it, by the agent
    std::uint64_t stop = 0;     // ordinal
    std::optional<Oracle::ExecutionId> execution;
    worker::RunTask task;  // being executed
    Time since{};
    double memory_left = 0;  // by what it has executed
    std::uint64_t turn = 0;  // counts executions; a timer of an older one rings for nobody
  };

  void later(worker::RunnerId id, Duration delay, std::function<void(Runner&)> act);
  /// The same, if the runner still does what it does now.
  void later_in_turn(worker::RunnerId id, Duration delay, std::function<void(Runner&)> act);
  const Program* program_of(const worker::Program& program) const;
  void get_ready(worker::RunnerId id, Runner& runner);
  void begin_next(worker::RunnerId id, Runner& runner);
  std::int64_t now_ms() const;
  void finish(worker::RunnerId id, Runner& runner, End end);
  void die(worker::RunnerId id, int signal, End end);

  World& world_;
  Oracle& oracle_;
  const Scenario& scenario_;
  Agent agent_;
  Random random_;
  std::map<worker::RunnerId, Runner> runners_;
  std::uint64_t life_ = 0;  // of the agent
};

}  // namespace weft::sim
