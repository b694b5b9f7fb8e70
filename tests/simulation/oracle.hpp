// SPDX-License-Identifier: MIT
// Oracle: the simulation's record of every task, independent of all cores: its script, where it was truly
// executed, and which faults struck its hosts. It checks every answer and every new execution against the
// promises of broker/GUARANTEES.md, and calls fail() at the first broken one.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/scheduler/journal_records.hpp"
#include "client/core/events.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

/// How an execution ended, as the runner sees it.
enum class End : std::uint8_t {
  running,
  returned,  // its value
  stopped,   // returned early, since its worker asked it to stop
  threw,
  died,    // with its runner, which crashed
  killed,  // by its worker
  gone,    // with its worker
};

class Oracle {
 public:
  using ExecutionId = std::size_t;

  Oracle(World& world, const Scenario& scenario) : world_(world), scenario_(scenario) {}

  // ---- from clients ----
  void submitted(const TaskId& id, std::shared_ptr<const wire::TaskSpec> spec, const TaskScript& script,
                 HostId client);
  void cancel_requested(const TaskId& id);
  /// `whole`: the client has every byte of a blob result.
  void completed(const TaskId& id, const client::Completion& completion, bool whole);
  /// The client has been told that this detached task is journaled.
  void kept(const TaskId& id);
  /// Task `id` attaches to `named`.
  void attached(const TaskId& id, const TaskId& named, std::shared_ptr<const wire::TaskSpec> spec,
                HostId client);
  /// A program has asked for the answer of this detached or attached task.
  void taken(const TaskId& id);
  /// Detached tasks with this label that the broker must still have.
  std::vector<TaskId> kept_tasks(const std::string& label) const;
  /// Whether the client no longer waits for this task.
  bool at_rest(const TaskId& id) const { return tasks_.at(id).forgotten || tasks_.at(id).answered; }
  /// The result arrived damaged, or the client had no space for it.
  void spoiled(const BlobId& result);
  /// A session of a client with version `minor` of the protocol begins.
  void session_started(const Uuid& session, std::uint8_t minor) { minors_[session] = minor; }
  std::uint8_t minor_of(const Uuid& session) const { return minors_.at(session); }
  void session_over(const Uuid& session);
  void delivered(const Uuid& session, const wire::DeliveryRecord& record);

  // ---- from runners ----
  ExecutionId started(const TaskId& id, const wire::TaskSpec& spec, HostId worker, std::uint64_t epoch,
                      std::uint32_t number);
  void ended(ExecutionId id, End end);
  /// The worker asks this execution to stop.
  void asked_to_stop(ExecutionId id) const;
  const TaskScript& script(const TaskId& id) const { return tasks_.at(id).script; }
  /// The number of executions of this task so far.
  std::size_t executions(const TaskId& id) const { return tasks_.at(id).executions.size(); }
  wire::Payload value(const TaskId& id, const Uuid& incarnation) const;
  static wire::Payload argument(const TaskId& id, const TaskScript& script);

  // ---- from the world ----
  /// A fault affects this host or its connection until `until`.
  void disturb(HostId host, Time until);
  void joined(HostId host, bool joined);
  /// The broker has received a frame of this host; has seen its connection closed; has sent it WELCOME.
  void broker_heard(HostId host);
  void broker_saw_end(HostId host);
  void broker_welcomed(HostId host);
  void broker_lost() { broker_lost_ = world_.now(); }
  void broker_started() { broker_started_ = world_.now(); }
  /// A write to the disk has failed.
  void disk_failed() { disk_failed_ = world_.now(); }
  /// Checks the broker's answer to FIND for `label`, and returns its tasks.
  std::vector<TaskId> found(const std::string& label, const std::vector<wire::FoundRecord>& tasks);
  /// Checks what the journal still holds after all answers were fetched.
  void left_on_disk(const std::vector<broker::JournalRecord>& records) const;

  // ---- at the end ----
  std::size_t open() const { return open_; }
  std::string describe_open() const;
  std::size_t tasks() const { return tasks_.size(); }

 private:
  struct Execution {
    TaskId task;
    HostId worker = 0;
    std::uint64_t epoch = 0;  // of the broker that assigned it
    Time start{};
    Time stop{};  // once it has ended
    End end = End::running;
  };
  struct Task {
    std::shared_ptr<const wire::TaskSpec> spec;
    TaskScript script;
    HostId client = 0;
    Time submitted{};
    bool cancelled = false;
    bool answered = false;
    bool forgotten = false;  // its client's session is over
    bool spoiled = false;
    std::vector<ExecutionId> executions;
    std::set<std::pair<std::uint32_t, std::uint32_t>> charges;  // retries and crashes, as the client heard
    bool cancelled_by_others = false;                           // through a task that is attached to it
    bool kept = false;                          // detached, and its client knows that the journal has it
    bool taken = false;                         // a program has its answer: the broker may drop it
    bool refused = false;                       // answered as refused: must not run
    std::optional<wire::DeliveryRecord> final;  // first delivered answer of a journaled task
    std::optional<TaskId> named;                // the task that this one is attached to
  };
  struct Host {
    Time disturbed_until{Duration(-1)};
    bool joined = false;
    Time joined_at{};
    bool by_broker = false;  // not joined only because the broker went away
    // As the broker sees the host:
    Time heard{};                    // when its last frame arrived
    std::optional<Time> closed;      // when its connection closed, if it has no newer one
    Time may_be_over{Duration(-1)};  // of a client: the last time that its session may have ended
  };
  struct Tally {  // of a task's executions
    std::uint32_t threw = 0;
    std::uint32_t timed_out = 0;
    std::uint32_t lost = 0;     // upper bound: its runner died, or the broker may believe its worker lost
    std::uint32_t certain = 0;  // lower bound: losses that the worker has reported to the broker
    std::uint32_t returned = 0;
  };

  /// Whether a clock that is one percent fast may have measured `limit_ms`.
  static bool has_passed(Duration passed, std::uint64_t limit_ms) {
    return passed * 1000 >= Duration(std::chrono::milliseconds(limit_ms)) * 989;
  }
  Task& find(const TaskId& id);
  /// The task that is executed for `task`: the one it is attached to, or itself.
  const Task& executed(const Task& task) const { return task.named ? tasks_.at(*task.named) : task; }
  /// The task has an essential option of a newer version, which the broker or all workers may not know.
  bool may_be_too_new(const Task& task) const {
    return scenario_.mixed_minors && (!task.spec->environment.empty() || task.spec->threads > 1);
  }
  bool expired(const Task& task) const;
  bool client_quiet_since(const Task& task, Time since) const;
  bool session_lasts_since(const Task& task, Time since) const;
  void check_same_answer(const TaskId& id, Task& task, const wire::DeliveryRecord& record);
  void check_attached(const TaskId& id, const Task& task, const Task& named,
                      const client::Completion& completion, bool whole) const;
  bool late_for_broker(HostId host) const;
  bool quiet_since(HostId host, Time since) const;
  bool ran_over(const Execution& execution, const Task& task) const;
  bool excused(const Execution& execution, const Task& task) const;
  Tally tally(const Task& task) const;
  void check_again(const TaskId& id, const Task& task, HostId worker) const;
  void check_resources(HostId worker, std::uint64_t epoch) const;
  void check_slots(HostId worker) const;
  bool may_be_too_large(const Task& task) const;
  bool may_be_refused(const Task& task) const { return may_be_too_new(task) || may_be_too_large(task); }
  void check_success(const TaskId& id, const Task& task, const client::Completion& completion,
                     bool whole) const;
  void check_failure(const TaskId& id, const Task& task, wire::Outcome outcome) const;

  std::map<Uuid, std::uint8_t> minors_;  // protocol versions of sessions' clients
  World& world_;
  const Scenario& scenario_;
  std::unordered_map<TaskId, Task> tasks_;
  std::vector<TaskId> order_;
  std::vector<Execution> executions_;
  std::map<HostId, std::vector<ExecutionId>> running_;  // by worker
  std::map<HostId, Host> hosts_;
  Time broker_lost_{Duration(-1)};
  Time broker_started_{};
  Time disk_failed_{Duration(-1)};
  std::size_t open_ = 0;
};

}  // namespace weft::sim
