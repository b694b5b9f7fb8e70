// SPDX-License-Identifier: MIT
// The nouns of worker::Session: a task, the spec that it shares with its map, the program that runs
// it, the lane in which it waits for a runner, and the runner. Plain data; the session changes it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/events.hpp"

namespace weft::worker {

struct Task;
struct ProgramState;

/// Tasks that wait for a runner of one program, in the order in which they came. Tasks that must be
/// alone have a lane of their own, since theirs must be fresh runners.
struct Lane {
  ProgramState* program = nullptr;
  bool alone = false;
  std::map<std::uint64_t, Task*> tasks;  // by Task::order: what is put back is in front again
  bool blocked = false;                  // for this pass of dispatch()
};

/// A program that tasks here need, or needed.
struct ProgramState {
  explicit ProgramState(Program p) : program(std::move(p)) {
    lanes[0].program = lanes[1].program = this;
    lanes[1].alone = true;
  }
  ProgramState(const ProgramState&) = delete;
  ProgramState& operator=(const ProgramState&) = delete;

  Program program;
  Lane lanes[2];
  std::vector<runner::FunctionEntry> functions;  // as its last runner said
  std::string bad;                               // why it did not start the last time
  std::optional<Time> bad_until;                 // not tried again before

  std::size_t specs = 0;  // that sessions have defined and not forgotten
  std::size_t tasks = 0;  // here, in whatever place
  std::size_t runners = 0;
};

/// What the tasks of one submit or map share. Owned by its session's table and by its tasks: a task
/// may outlive FORGET_FOR and END_SESSION.
struct SpecState {
  std::shared_ptr<const wire::TaskSpec> content;  // shared with the RunTask actions
  ProgramState* program = nullptr;
  double estimate_us = -1;        // of a task's running time; -1: none has run
  bool function_checked = false;  // the program has it where the client says
};

struct AttemptKey {
  TaskId id;
  wire::Attempt attempt;
  auto operator<=>(const AttemptKey&) const = default;
};

enum class TaskPlace : std::uint8_t {
  waiting,    // for blobs
  queued,     // in its lane
  in_runner,  // in a runner's channel
};

enum class StopReason : std::uint8_t { none, cancelled, timed_out };

struct Task {
  AttemptKey key;
  std::shared_ptr<SpecState> spec;
  std::uint64_t order = 0;  // of arrival here
  std::uint32_t execution = 1;
  bool alone = false;
  bool unwanted = false;  // its session is over: nobody gets a result
  wire::Payload payload;
  std::vector<BlobKey> needs;
  std::size_t missing = 0;  // of needs
  TaskPlace place = TaskPlace::waiting;

  // In a runner only:
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  StopReason stop = StopReason::none;
  std::optional<Time> started_at;  // as the page says
  bool told_started = false;       // STARTED or a claim has said so

  Lane& lane() const { return spec->program->lanes[alone ? 1 : 0]; }
};

struct Runner {
  enum class State : std::uint8_t { starting, ready, ending };
  /// How hard it has been asked to stop: the task in front, and from `terminated` on the whole runner.
  enum class Rung : std::uint8_t { none, asked, terminated, killed };

  RunnerId id = 0;
  std::uint32_t slot = 0;
  Lane* lane = nullptr;
  State state = State::starting;
  Time since;  // starting: from then; else: the front task is there, or it is idle
  Time ready_at;
  std::deque<Task*> channel;  // what was sent and not answered; the first is running, or about to
  std::uint64_t sent = 0;     // the last ordinal
  Rung rung = Rung::none;
  std::optional<Time> rung_due;  // when to go one further
  std::optional<Time> look_due;  // when to look whether the front task runs, or has run too long
  std::uint64_t culprit = 0;     // the ordinal for which it is being killed; 0: for none
  std::string doom;              // why it is being killed, when its task is to be told

  bool idle() const { return state == State::ready && channel.empty(); }
};

}  // namespace weft::worker
