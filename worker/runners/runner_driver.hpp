// SPDX-License-Identifier: MIT
// RunnerDriver: takes the steps that each runner's RunnerMonitor asks for, and gives the runner what
// WorkerCore has for it. The order of these calls is the protocol between agent and runner, so RunnerPool
// (processes) and the simulation (runners on virtual time) share it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/runner/runner_channel.hpp"
#include "worker/core/events.hpp"
#include "worker/runners/poll_plan.hpp"
#include "worker/runners/runner_monitor.hpp"

namespace weft::worker {

/// `Self` derives from RunnerDriver, and has
///   void send(Runner&, const RunTask&);                    // after on_run()
///   void on_socket_closed(Runner&);
///   void read_output(Runner&, std::size_t bytes_max);
///   void log_output(Runner&);
///   void use(Runner&, RunnerMonitor::Use, runner::Received, Events&);   // owns the descriptor in it
///   void reap(Runner&, Events&);                           // erases the runner
/// `Runner` has a RunnerMonitor `monitor` and a pointer `process` with the functions of RunnerProcess.
template <class Self, class Runner>
class RunnerDriver {
 public:
  using Events = std::vector<Event>;

  // An action for a runner that has died is ignored: the event of its death is queued for WorkerCore.
  void run(const RunTask& action) {
    Runner* runner = find(action.runner);
    if (runner == nullptr) return;
    keep_polling(*runner);
    runner->monitor.on_run(action.ordinal, action.id);
    runner->process->withdraw_stop(action.ordinal);
    self().send(*runner, action);
  }
  void request_stop(const RequestStop& action) {
    if (Runner* runner = find(action.runner)) runner->process->request_stop(action.ordinal);
  }
  TasksTakenBack take_back_unstarted(const TakeBackTasks& action) {
    Runner* runner = find(action.runner);
    if (runner == nullptr || !runner->monitor.has_tasks()) return {action.runner, UINT64_MAX};
    keep_polling(*runner);
    RunnerMonitor& monitor = runner->monitor;
    const std::uint64_t started =
        runner->process->take_back_unstarted(monitor.first_ordinal(), monitor.last_ordinal());
    monitor.on_taken_back(started);
    return {action.runner, started};
  }
  void end(const EndRunner& action) {
    if (Runner* runner = find(action.runner)) {
      runner->monitor.on_end();
      runner->process->end_channel();
    }
  }
  void kill(const KillRunner& action) {
    if (Runner* runner = find(action.runner)) runner->process->kill(action.signal);
  }

  /// Prepares for a poll: wakes the runners that were given tasks, and asks all runners to wake the agent.
  /// False: a message has arrived already, so the agent must not wait.
  bool sleep() {
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
  /// When runners have to be checked although none has woken the agent.
  std::optional<Time> deadline() const { return plan_.deadline(); }

 protected:
  Runner* find(RunnerId id) {
    const auto found = runners_.find(id);
    return found == runners_.end() ? nullptr : &found->second;
  }
  void erase(const Runner& runner) {
    if (runner.monitor.is_unpollable()) plan_.remove_unpollable();
    runners_.erase(runner.monitor.id());
  }
  static void keep_polling(Runner& runner) {
    if (runner.monitor.keep_polling()) runner.process->awake();
  }
  /// Appends what has happened in the runners that the plan has for this turn, in order.
  void check_all(Time now, bool waited, Events& events) {
    plan_.begin_turn(now, waited, runners_.size());
    for (auto next = runners_.begin(); next != runners_.end();) {
      Runner& runner = (next++)->second;  // `runner` may be erased below
      if (plan_.checks(runner.monitor)) check(runner, now, events);
    }
  }

  PollPlan plan_;
  std::map<RunnerId, Runner> runners_;

 private:
  Self& self() { return static_cast<Self&>(*this); }

  void check(Runner& runner, Time now, Events& events) {
    using Step = RunnerMonitor::Step;
    RunnerMonitor& monitor = runner.monitor;
    auto& process = *runner.process;
    keep_polling(runner);
    monitor.begin_check();
    for (;;) {
      switch (monitor.next_step()) {
        case Step::read_death:
          if (const auto death = process.death()) monitor.on_death(death->signal, death->exit_code);
          break;
        case Step::read_socket:
          read_socket(runner);
          break;
        case Step::read_output:
          self().read_output(runner, RunnerMonitor::kOutputBytesACheck);
          break;
        case Step::read_all_output:
          self().read_output(runner, SIZE_MAX);
          break;
        case Step::read_message:
          read_message(runner, events);
          break;
        case Step::log_output:
          self().log_output(runner);
          break;
        case Step::read_page: {
          const std::uint64_t started = process.started();  // before its time, which the runner writes first
          monitor.on_page(started, process.started_at(), now, events);
          break;
        }
        case Step::reap:
          return self().reap(runner, events);
        case Step::none:
          return;
      }
    }
  }

  void read_socket(Runner& runner) {
    const bool open = runner.process->read_socket();
    runner.monitor.on_socket(open);
    if (open) return;
    self().on_socket_closed(runner);
    plan_.add_unpollable();
  }

  void read_message(Runner& runner, Events& events) {
    runner::Received received = runner.process->receive();
    if (received.kind == runner::Received::Kind::again) return runner.monitor.on_no_message();
    if (received.kind == runner::Received::Kind::garbage) {
      return runner.monitor.on_garbage(received.reason, events);
    }
    const RunnerMonitor::Use use = runner.monitor.on_message(*received.message, events);
    self().use(runner, use, std::move(received), events);
  }
};

}  // namespace weft::worker
