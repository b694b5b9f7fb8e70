// SPDX-License-Identifier: MIT
// Oracle: what the world itself knows of every task, independent of all machines: what it was to do, where it
// was truly executed, what was done to the hosts around it. Judges every answer and every new execution by
// the promises of DESIGN.md section 7, and says fail() at the first that is broken.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/session_events.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

/// How an execution ended, as seen from inside the runner.
enum class End : std::uint8_t {
  running,
  returned,  // the value
  stopped,   // returned early, since it was asked to stop
  threw,
  died,    // with its runner, which crashed
  killed,  // by its worker
  gone,    // its worker went away
};

class Oracle {
 public:
  using ExecutionId = std::size_t;

  Oracle(World& world, const Scenario& scenario) : world_(world), scenario_(scenario) {}

  // ---- from clients ----
  void submitted(const TaskId& id, std::shared_ptr<const wire::TaskSpec> spec, const TaskScript& script,
                 HostId client);
  void cancel_requested(const TaskId& id);
  /// `whole`: every byte of a blob result is with the client.
  void completed(const TaskId& id, const client::Completion& completion, bool whole);
  /// The client could not use the result although it came.
  void spoiled(const BlobId& result);
  void session_over(const Uuid& session);
  /// `number` is the delivery's, of the broker's life `epoch`.
  void delivered(const Uuid& session, std::uint64_t epoch, std::uint64_t number,
                 const wire::DeliveryRecord& record);

  // ---- from runners ----
  ExecutionId started(const TaskId& id, const wire::TaskSpec& spec, HostId worker, std::uint64_t epoch,
                      std::uint32_t number);
  void ended(ExecutionId id, End end);
  /// The worker asks this execution to stop.
  void asked_to_stop(ExecutionId id) const;
  const TaskScript& script(const TaskId& id) const { return tasks_.at(id).script; }
  /// Executions begun so far.
  std::size_t executions(const TaskId& id) const { return tasks_.at(id).executions.size(); }
  wire::Payload value(const TaskId& id, const Uuid& incarnation) const;
  static wire::Payload argument(const TaskId& id, const TaskScript& script);

  // ---- from the world ----
  /// Something happens to this host, or its connection, until `until`.
  void disturb(HostId host, Time until);
  void joined(HostId host, bool joined);
  void broker_lost() { broker_lost_ = world_.now(); }
  void broker_started() { broker_started_ = world_.now(); }

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
    bool forgotten = false;  // its client is gone
    bool spoiled = false;
    std::vector<ExecutionId> executions;
    std::set<std::pair<std::uint64_t, std::uint64_t>> charges;  // told to its client: epoch, number
  };
  struct Host {
    Time disturbed_until{Duration(-1)};
    bool joined = false;
    Time joined_at{};
    bool by_broker = false;  // not joined since the broker went away, and for no other reason
  };
  struct Tally {  // of a task's executions
    std::uint32_t threw = 0;
    std::uint32_t timed_out = 0;
    std::uint32_t lost = 0;     // at most: it or its runner died, or its worker may be thought lost
    std::uint32_t certain = 0;  // losses that its worker will have told the broker
    std::uint32_t returned = 0;
  };

  Task& find(const TaskId& id);
  bool quiet_since(HostId host, Time since) const;
  bool ran_over(const Execution& execution, const Task& task) const;
  bool excused(const Execution& execution, const Task& task) const;
  Tally tally(const Task& task) const;
  void check_again(const TaskId& id, const Task& task, HostId worker) const;
  void check_resources(HostId worker, std::uint64_t epoch) const;
  void check_success(const TaskId& id, const Task& task, const client::Completion& completion,
                     bool whole) const;
  void check_failure(const TaskId& id, const Task& task, wire::Outcome outcome) const;

  World& world_;
  const Scenario& scenario_;
  std::unordered_map<TaskId, Task> tasks_;
  std::vector<TaskId> order_;
  std::vector<Execution> executions_;
  std::map<HostId, std::vector<ExecutionId>> running_;  // by worker
  std::map<HostId, Host> hosts_;
  Time broker_lost_{Duration(-1)};
  Time broker_started_{};
  std::size_t open_ = 0;
};

}  // namespace weft::sim
