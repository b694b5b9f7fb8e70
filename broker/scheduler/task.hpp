// SPDX-License-Identifier: MIT
// What the scheduler knows of one task, and the list that holds it. A task is in at most one list at a time
// (a ready queue, a worker's, the delayed, the saving or the awaiting one): inserting it into a list removes
// it from the one before.
#pragma once

#include <cstdint>
#include <utility>

#include "common/base/check.hpp"
#include "common/base/intrusive_list.hpp"
#include "common/base/time.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

struct Session;
struct Spec;
struct Worker;
class TaskList;

enum class TaskState : std::uint8_t {
  queued,      // in its ready queue
  delayed,     // until `due`: retry_delay
  saving,      // detached: it, or its result, is on the way into the journal
  awaiting,    // re-announced after a restart; a worker may claim it until the adoption window ends
  assigned,    // with a worker, not known to have started
  running,     // with a worker, started
  cancelling,  // with a worker that was told to stop it; its client has been answered
};

/// The execution of a task that a worker claimed last. Its attempt was made by an earlier broker, or by this
/// one before it gave up the client.
struct AdoptedExecution {
  std::uint32_t execution = 0;     // its number, as the worker says; 0: there was none
  std::uint32_t first_untold = 0;  // first execution whose end was not told to the client
  bool current = false;            // it is the current attempt of the task, or was the last
  bool prepaid = false;            // its failure was charged when its worker was thought to be lost
  std::uint32_t charge = 0;        // of a detached task: the charge for its failure, from 1; 0: none

  /// Whether, if execution `number` failed, an earlier broker charged it and that charge was lost.
  bool is_untold(std::uint32_t number) const { return number >= first_untold && number < execution; }
};

struct Task {
  std::uint64_t seq = 0;
  Session* session = nullptr;
  Spec* spec = nullptr;
  Worker* worker = nullptr;  // assigned, running, cancelling
  wire::Attempt attempt;     // the current one while with a worker, otherwise the last; number 0: none yet
  wire::Payload payload;
  Time due{};    // delayed: when to queue it; queued: when its queue_timeout ends, if it has one
  Time since{};  // when it entered its state
  std::uint32_t retries_used = 0;
  std::uint32_t crashes = 0;
  AdoptedExecution adopted;
  std::uint32_t charged_us = 0;  // fair queueing: slot time charged to its session in advance
  TaskState state = TaskState::queued;
  std::uint16_t returned = 0;  // how often a worker could not start it, through no fault of the program
  bool answered = false;       // the worker's answer to `attempt` has been counted
  bool failed = false;         // an earlier attempt failed: Placer::failed_on() says where

  std::uint32_t execution() const { return 1 + retries_used + crashes; }
  bool with_worker() const { return worker != nullptr; }

 private:
  friend class TaskList;
  TaskList* list_ = nullptr;
  ListLinks<Task> links_;
};

/// An intrusive list of tasks with a size, whose tasks know that they are in it. Does not own its tasks; must
/// be empty when it is destroyed.
class TaskList {
 public:
  TaskList() = default;
  TaskList(const TaskList&) = delete;
  TaskList& operator=(const TaskList&) = delete;
  ~TaskList() { WEFT_CHECK(size_ == 0); }

  Task* front() const { return tasks_.front(); }
  Task* back() const { return tasks_.back(); }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  static Task* after(const Task& task) { return Tasks::after(task); }
  static Task* before(const Task& task) { return Tasks::before(task); }
  bool contains(const Task& task) const { return task.list_ == this; }
  static bool is_in_any(const Task& task) { return task.list_ != nullptr; }

  void push_back(Task& task) { insert(nullptr, task); }
  void push_front(Task& task) { insert(tasks_.front(), task); }
  /// Inserts `task` before the first younger one; fast for a task that is among the oldest.
  void insert_by_seq(Task& task) {
    Task* next = tasks_.front();
    while (next != nullptr && next->seq < task.seq) next = after(*next);
    insert(next, task);
  }
  /// The same position as insert_by_seq(), searched from the back; fast for a task among the youngest.
  void insert_by_seq_from_back(Task& task) {
    Task* previous = tasks_.back();
    while (previous != nullptr && previous->seq > task.seq) previous = before(*previous);
    insert(previous != nullptr ? after(*previous) : tasks_.front(), task);
  }

  /// Takes `task` out of its list, if it is in one.
  static void remove(Task& task) {
    if (task.list_ == nullptr) return;
    task.list_->tasks_.remove(task);
    --std::exchange(task.list_, nullptr)->size_;
  }

 private:
  using Tasks = IntrusiveList<Task, &Task::links_>;

  void insert(Task* next, Task& task) {
    WEFT_CHECK(next != &task);
    remove(task);
    tasks_.insert(next, task);
    task.list_ = this;
    ++size_;
  }

  Tasks tasks_;
  std::size_t size_ = 0;
};

}  // namespace weft::broker
