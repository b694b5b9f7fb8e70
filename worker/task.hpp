// SPDX-License-Identifier: MIT
// The nouns of worker::Session: a task, the spec that it shares with its map, the program that runs
// it, the lane in which it waits for a runner, and the runner. Plain data; the session changes it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/fifo.hpp"
#include "common/local_ref.hpp"
#include "worker/events.hpp"
#include "worker/outbox.hpp"

namespace weft::worker {

struct Task;
struct ProgramState;
struct ClientState;

/// Tasks in the order in which they came (Task::order): what is put back is in front again. The links are in
/// the tasks.
class TaskQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Task* front() const { return first_; }
  void insert(Task& task);
  /// REQUIRES: it is in this queue.
  void remove(Task& task);

 private:
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  std::size_t size_ = 0;
};

/// Tasks that wait for a runner of one program. Tasks that must be alone have a lane of their own, since
/// theirs must be fresh runners.
struct Lane {
  ProgramState* program = nullptr;
  bool alone = false;
  TaskQueue tasks;
  bool served = false;   // in this pass of dispatch(): runners were started for it
  bool blocked = false;  // and nothing more can be placed

  /// Whether one is here that came before `until`.
  bool has_before(std::uint64_t until) const;
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
  LocalRef<const wire::TaskSpec> content;  // shared with the RunTask actions
  ClientState* client = nullptr;           // gone after END_SESSION, when its tasks are unwanted
  ProgramState* program = nullptr;
  double estimate_us = -1;           // of a task's running time; -1: none has run
  bool function_known = false;       // there is none to be found, or the program's runners have it, and it is
  std::uint32_t function_index = 0;  // in their table
  std::string fault;                 // why none of its tasks can start here; "": they can
  bool wide = false;                 // its tasks take several slots
  bool takes_indices = false;        // of resources that have some
  bool files_ready = false;  // its program and libraries are here, and stay while it or a task has them
  bool forgotten = false;    // by its session: its files are kept for its tasks only
  std::size_t tasks = 0;     // here, in whatever place
};

/// One client session.
struct ClientState {
  ClientState(const Uuid& id, std::uint64_t outbox_first) : outbox(id, outbox_first) {}
  std::unordered_map<std::uint32_t, LocalRef<SpecState>> specs;
  Outbox outbox;
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

/// Blobs without which a task cannot run.
struct Needs {
  std::vector<BlobKey> blobs;
  std::size_t missing = 0;  // of them
};

/// Thousands of them are under way at once: fewer bytes are fewer cache misses.
struct Task {
  AttemptKey key;
  LocalRef<SpecState> spec;
  std::uint64_t order = 0;  // of arrival here
  wire::Payload payload;
  std::unique_ptr<Needs> needs;  // nullptr: nothing
  std::uint32_t execution = 1;
  float estimate_us = 0;  // when it went to its runner
  TaskPlace place = TaskPlace::waiting;
  bool alone = false;
  bool unwanted = false;      // its session is over: nobody gets a result
  bool told_started = false;  // STARTED or a claim has said so
  StopReason stop = StopReason::none;

  // In a runner only:
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  std::optional<Time> started_at;  // as the page says

  // In its lane only:
  Task* previous = nullptr;
  Task* next = nullptr;

  bool is_missing_something() const { return needs && needs->missing > 0; }

  Lane& lane() const { return spec->program->lanes[alone ? 1 : 0]; }
};

inline void TaskQueue::insert(Task& task) {
  Task* before = last_;
  if (before != nullptr && before->order > task.order) {  // it was out already: near the front
    Task* after = first_;
    while (after->order < task.order) after = after->next;
    before = after->previous;
  }
  task.previous = before;
  task.next = before != nullptr ? before->next : first_;
  (before != nullptr ? before->next : first_) = &task;
  (task.next != nullptr ? task.next->previous : last_) = &task;
  ++size_;
}

inline void TaskQueue::remove(Task& task) {
  (task.previous != nullptr ? task.previous->next : first_) = task.next;
  (task.next != nullptr ? task.next->previous : last_) = task.previous;
  task.previous = task.next = nullptr;
  --size_;
}

inline bool Lane::has_before(std::uint64_t until) const {
  return !tasks.empty() && tasks.front()->order < until;
}

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
  Fifo<Task*> channel;     // what was sent and not answered; the first is running, or about to
  std::uint64_t sent = 0;  // the last ordinal
  double channel_us = 0;   // that the tasks in its channel are expected to take
  std::size_t unsure = 0;  // of them, those that may take long
  std::size_t timed = 0;   // and those that have a timeout
  bool recalling = false;  // what it has not begun is being taken back
  bool gave_away = false;  // that was done for idle runners since its front task is in front
  Rung rung = Rung::none;
  std::optional<Time> rung_due;  // when to go one further
  std::optional<Time> look_due;  // when to look whether the front task runs, or has run too long
  std::uint64_t culprit = 0;     // the ordinal for which it is being killed; 0: for none
  std::string doom;              // why it is being killed, when its task is to be told
  // Of the last task that needed some. A process may keep the devices that it saw first, so that it gets
  // tasks with the same indices only.
  LocalRef<const Indices> indices;

  bool idle() const { return state == State::ready && channel.empty() && !recalling; }
};

}  // namespace weft::worker
