// SPDX-License-Identifier: MIT
// The data of worker::WorkerCore: a task, the spec that it shares with the other tasks of its map, the
// program that runs it, the run queue in which it waits for a runner, and the runner. Plain data, changed by
// WorkerCore only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/intrusive_list.hpp"
#include "common/base/local_shared_ptr.hpp"
#include "common/base/vector_queue.hpp"
#include "worker/core/events.hpp"
#include "worker/core/outbox.hpp"

namespace weft::worker {

struct Task;
struct RunQueue;
struct ProgramState;
struct SpecState;
struct ClientState;

struct AttemptKey {
  TaskId id;
  wire::Attempt attempt;
  auto operator<=>(const AttemptKey&) const = default;
};

enum class TaskStage : std::uint8_t {
  waiting,    // for blobs
  queued,     // in its run_queue
  in_runner,  // in a runner's channel
};

enum class StopReason : std::uint8_t { none, cancelled, timed_out };

/// Blobs that a task needs before it can run.
struct Needs {
  std::vector<BlobId> blobs;
  std::size_t missing = 0;  // number of `blobs` that are not here yet
};

/// Small on purpose: thousands are in flight at once, and each cache line is a possible miss.
struct Task {
  AttemptKey key;
  LocalSharedPtr<SpecState> spec;
  std::uint64_t order = 0;  // of arrival here
  wire::Payload payload;
  std::unique_ptr<Needs> needs;  // nullptr: the task needs no blobs
  std::uint32_t execution = 1;
  float estimate_us = 0;  // as of when it was sent to its runner; -1: unknown or long
  TaskStage stage = TaskStage::waiting;
  bool alone = false;
  bool unwanted = false;          // its session is over: its result is discarded
  bool started_reported = false;  // reported to the broker by STARTED or a claim
  StopReason stop = StopReason::none;

  // In a runner only:
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  std::optional<Time> started_at;  // as read from the runner's page

  // In its run queue only:
  ListLinks<Task> links;

  bool is_missing_something() const { return needs && needs->missing > 0; }

  RunQueue& run_queue() const;
};

/// Tasks ordered by arrival (Task::order), so that a task that is put back is in front again.
class TaskQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Task* front() const { return tasks_.front(); }
  static Task* after(const Task& task) { return Tasks::after(task); }
  void insert(Task& task) {
    Task* next = nullptr;
    if (!empty() && tasks_.back()->order > task.order) {  // a task that is put back belongs near the front
      next = tasks_.front();
      while (next->order < task.order) next = after(*next);
    }
    tasks_.insert(next, task);
    ++size_;
  }
  /// REQUIRES: `task` is in this queue.
  void remove(Task& task) {
    tasks_.remove(task);
    --size_;
  }

 private:
  using Tasks = IntrusiveList<Task, &Task::links>;

  Tasks tasks_;
  std::size_t size_ = 0;
};

/// Run queue: the tasks that wait for a runner of one program. Tasks that must be alone have a separate run
/// queue, since each of them needs a fresh runner.
struct RunQueue {
  ProgramState* program = nullptr;
  bool alone = false;
  TaskQueue tasks;
  bool served = false;   // in this pass of dispatch(): runners have been started for its tasks
  bool blocked = false;  // in this pass of dispatch(): no further task of it can be placed

  /// Whether a task here arrived before `until`.
  bool has_before(std::uint64_t until) const;
};

/// A program that tasks on this worker need or have needed.
struct ProgramState {
  explicit ProgramState(Program p) : program(std::move(p)) {
    run_queues[0].program = run_queues[1].program = this;
    run_queues[1].alone = true;
  }
  ProgramState(const ProgramState&) = delete;
  ProgramState& operator=(const ProgramState&) = delete;

  /// For messages. Task libraries run in weft-runner.
  std::string name() const { return program.file.name.empty() ? "weft-runner" : program.file.name; }

  Program program;
  RunQueue run_queues[2];
  std::vector<runner::FunctionEntry> functions;  // function table as reported by its last runner
  std::string bad;                               // why its last start failed
  std::optional<Time> bad_until;                 // when it may be started again
  std::uint32_t early_deaths = 0;                // runners that ended before they began a task, in succession

  std::size_t specs = 0;  // number of specs that sessions have defined and not forgotten
  std::size_t tasks = 0;  // here, in any stage
  std::size_t runners = 0;
};

/// What the tasks of one submit or map share. Owned by its session's table and by its tasks: a task
/// may outlive FORGET_FOR and END_SESSION.
struct SpecState {
  LocalSharedPtr<const wire::TaskSpec> content;  // shared with the RunTask actions
  ClientState* client = nullptr;                 // dangles after END_SESSION; unwanted tasks do not use it
  ProgramState* program = nullptr;
  double estimate_us = -1;           // expected run time of a task; -1: no task has run yet
  bool function_known = false;       // the function needs no lookup, or was found at `function_index`
  std::uint32_t function_index = 0;  // in the function table of the program's runners
  std::string fault;                 // why none of its tasks can start here; "": they can
  bool wide = false;                 // each of its tasks takes several slots
  bool takes_indices = false;        // its tasks ask for resources that have indices
  // Its program and libraries are on this worker, pinned by the spec and its tasks.
  bool files_ready = false;
  bool forgotten = false;  // its session has forgotten it: only its tasks still pin its files
  std::size_t tasks = 0;   // here, in any stage
};

/// What this worker holds for one client session.
struct ClientState {
  ClientState(const Uuid& id, std::uint64_t outbox_first) : outbox(id, outbox_first) {}
  std::unordered_map<std::uint32_t, LocalSharedPtr<SpecState>> specs;
  Outbox outbox;
};

inline RunQueue& Task::run_queue() const { return spec->program->run_queues[alone ? 1 : 0]; }

inline bool RunQueue::has_before(std::uint64_t until) const {
  return !tasks.empty() && tasks.front()->order < until;
}

struct Runner {
  enum class State : std::uint8_t { starting, ready, ending };
  /// Stages of escalation: `asked` is a request to the front task, or to an idle runner; `terminated`
  /// (SIGTERM) and `killed` (SIGKILL) concern the whole runner.
  enum class StopStage : std::uint8_t { none, asked, terminated, killed };

  RunnerId id = 0;
  std::uint32_t slot = 0;
  RunQueue* run_queue = nullptr;
  State state = State::starting;
  Time since;  // start of the process, or of the current front task, or of idleness
  Time ready_at;
  VectorQueue<Task*> channel;       // tasks sent and not answered; the front one runs or is about to
  std::uint64_t sent = 0;           // the last ordinal in use
  double channel_us = 0;            // expected run time of all tasks in its channel
  std::size_t unknown_lengths = 0;  // number of tasks in it without a short estimate
  std::size_t with_timeout = 0;     // number of tasks in it that have a timeout
  bool taking_back = false;         // the tasks that it has not started are being taken back
  bool already_rebalanced = false;  // tasks were moved to idle runners since the front task came to the front
  StopStage stop_stage = StopStage::none;
  std::optional<Time> escalation_due;  // when to escalate to the next stop stage
  std::optional<Time> check_deadline;  // when to check whether the front task has started, or run too long
  std::uint64_t killed_for = 0;        // ordinal of the task because of which it is being stopped; 0: none
  // Why the worker kills the runner, for the error of task `killed_for`; "": the error names the signal or
  // exit code.
  std::string kill_reason;
  // Resource indices of the last task that needed some. A process may hold on to the devices that it saw
  // first, so this runner gets only tasks with the same indices.
  LocalSharedPtr<const Indices> indices;

  bool idle() const { return state == State::ready && channel.empty() && !taking_back; }
};

}  // namespace weft::worker
