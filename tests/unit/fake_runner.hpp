// SPDX-License-Identifier: MIT
// FakeRunner: an in-memory runner with a RunnerMonitor: its readable sources, and a pool that performs the
// monitor's steps. Time is virtual.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <deque>
#include <string>
#include <vector>

#include "worker/runners/runner_monitor.hpp"

namespace weft::worker {

using std::chrono::microseconds;
using std::chrono::seconds;
using Step = RunnerMonitor::Step;
using Strings = std::vector<std::string>;

inline constexpr std::uint64_t kLimit = 1 << 30;
inline constexpr std::int64_t kNow_ms = 1'700'000'000'000;

inline RunnerMonitor a_monitor(RunnerId id = 7) {
  return RunnerMonitor(
      {.id = id, .slot = 3, .program = "prog", .worker = "w1", .memory_limit = std::uint64_t{kLimit}});
}

inline TaskId task_id(std::uint64_t seq) {
  TaskId id;
  id.seq = seq;
  return id;
}

inline std::string text(const RunnerReady& e) {
  return fmt::format("runner {} is ready, {} functions", e.runner, e.functions.size());
}
inline std::string text(const RunnerFailedToStart& e) {
  return fmt::format("runner {} failed: {}", e.runner, e.text);
}
inline std::string text(const TaskStarted& e) {
  return fmt::format("runner {} started {} at {} us", e.runner, e.ordinal, e.at.time_since_epoch().count());
}
inline std::string text(const TaskFinished& e) {
  return fmt::format("runner {} finished {}, {}, {} us, {} B, at {} ms", e.runner, e.ordinal,
                     e.outcome == wire::Outcome::ok ? "ok" : "failed", e.run_us, e.payload.size(),
                     e.ended_ms);
}
inline std::string text(const RunnerBroken& e) {
  return fmt::format("runner {} is broken: {}", e.runner, e.text);
}
inline std::string text(const RunnerDied& e) {
  return fmt::format("runner {} died: signal {}, code {}, started {}, tail '{}', reason '{}', at {} ms",
                     e.runner, e.signal, e.exit_code, e.started, e.stderr_tail, e.reason, e.ended_ms);
}

inline std::string text_of(const Event& event) {
  return std::visit(
      []<class E>(const E& e) -> std::string {
        if constexpr (requires { text(e); }) {
          return text(e);
        } else {
          return "an event that no runner causes";
        }
      },
      event);
}

inline std::string name_of(Step step) {
  switch (step) {
    case Step::read_death:
      return "death";
    case Step::read_socket:
      return "socket";
    case Step::read_output:
      return "output";
    case Step::read_all_output:
      return "all output";
    case Step::read_message:
      return "message";
    case Step::log_output:
      return "log";
    case Step::read_page:
      return "page";
    case Step::reap:
      return "reap";
    case Step::none:
      break;
  }
  return "none";
}

/// A runner, and a pool that performs the monitor's steps. Tests must claim all `steps` and `events`.
struct FakeRunner {
  RunnerMonitor monitor = a_monitor();

  // Readable sources:
  bool dead = false;
  int signal = 0;
  int exit_code = 0;
  bool socket_open = true;
  std::deque<std::string> pipe;  // lines of stdout; a line that begins with '!' is of stderr
  std::deque<runner::Message> channel;
  std::string garbage;     // follows the messages
  bool right_size = true;  // of the memory file of a large answer
  std::uint64_t started = 0;
  Time started_at{};

  // Actions of the pool:
  Strings steps;
  std::vector<Event> events;
  Strings logged;
  std::deque<std::string> unlogged;
  Time now{seconds(100)};

  /// Steps since the last call.
  Strings take_events() {
    Strings texts;
    for (const Event& event : events) texts.push_back(text_of(event));
    events.clear();
    return texts;
  }
  Strings take_steps() { return std::exchange(steps, {}); }
  Strings take_logged() { return std::exchange(logged, {}); }

  void get_ready() {
    channel.push_back(runner::RunnerHello{.pid = 1, .total = 0, .functions = {}});
    check();
    events.clear();
    steps.clear();
  }
  void run(std::uint64_t ordinal) {
    monitor.on_run(ordinal, task_id(ordinal));
    monitor.check_invariants();
  }
  void answer(std::uint64_t ordinal) {
    channel.push_back(runner::TaskDone{.ordinal = ordinal, .run_us = 5, .payload = wire::Payload("x")});
  }
  void begin(std::uint64_t ordinal, Time at) {
    started = ordinal;
    started_at = at;
  }
  void print(const std::string& line) {
    pipe.push_back(line);
    monitor.on_readable(RunnerSource::output);
  }
  void die(int with_signal, int with_code) {
    dead = true;
    signal = with_signal;
    exit_code = with_code;
    monitor.on_readable(RunnerSource::line);
  }

  void check() {
    monitor.keep_polling();
    monitor.begin_check();
    for (Step step; (step = monitor.next_step()) != Step::none;) {
      steps.push_back(name_of(step));
      perform(step);
      monitor.check_invariants();
      if (step == Step::reap) return;
    }
  }

 private:
  void perform(Step step) {
    switch (step) {
      case Step::read_death:
        if (dead) monitor.on_death(signal, exit_code);
        return;
      case Step::read_socket:
        return monitor.on_socket(socket_open);
      case Step::read_output:
      case Step::read_all_output:
        for (; !pipe.empty(); pipe.pop_front()) unlogged.push_back(pipe.front());
        return monitor.on_output(!unlogged.empty());
      case Step::read_message:
        return read_message();
      case Step::log_output:
        return log(monitor.running_task(started), unlogged.size());
      case Step::read_page:
        return monitor.on_page(started, started_at, now, events);
      case Step::reap:
        events.push_back(monitor.end_of_life(started, std::nullopt, kNow_ms));
        return;
      case Step::none:
        return;
    }
  }
  void read_message() {
    if (channel.empty() && garbage.empty()) return monitor.on_no_message();
    if (channel.empty()) return monitor.on_garbage(garbage, events);
    runner::Message message = channel.front();
    channel.pop_front();
    switch (monitor.on_message(message, events)) {
      case RunnerMonitor::Use::result: {
        auto& done = std::get<runner::TaskDone>(message);
        if (monitor.accepts(done, right_size, events))
          monitor.on_result(done, std::move(done.payload), kNow_ms, events);
        return;
      }
      case RunnerMonitor::Use::log_output:  // as many lines as bytes
        return log(monitor.front_task(), std::get<runner::TaskPrinted>(message).out);
      case RunnerMonitor::Use::ready:
      case RunnerMonitor::Use::none:
        return;
    }
  }
  void log(const std::string& task, std::size_t lines) {
    for (; lines > 0 && !unlogged.empty(); --lines, unlogged.pop_front()) {
      logged.push_back(fmt::format("[{}] {}", task, unlogged.front()));
      monitor.on_line(unlogged.front(), unlogged.front().starts_with('!'));
    }
    monitor.on_output(!unlogged.empty());
  }
};

inline std::string named(std::uint64_t seq, const std::string& line) {
  return fmt::format("[{}] {}", task_id(seq).text(), line);
}

}  // namespace weft::worker
