// SPDX-License-Identifier: MIT
// The records of peers, sessions (clients), workers, specs, ready queues and detached tasks: plain data,
// owned by Roster. README.md says which class changes which part.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/scheduler/deliveries.hpp"
#include "broker/scheduler/events.hpp"
#include "broker/scheduler/fair_turns.hpp"
#include "broker/scheduler/load_index.hpp"
#include "broker/scheduler/task.hpp"
#include "common/base/rare.hpp"
#include "common/base/seq_table.hpp"

namespace weft::broker {

struct Peer {
  Session* session = nullptr;  // a client's, or
  Worker* worker = nullptr;    // a worker's
  std::uint8_t minor = 0;      // version of the protocol that it speaks
  Time heard{};                // when the last message came from it
  Time sent{};                 // when the last message went to it
};

/// Where the tasks of a spec may run. Specs of one session with equal placements share a ready queue.
struct Placement {
  std::int32_t priority = 0;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;
  std::vector<std::string> prefer;
  std::string library_function;  // "" unless called by name
  BlobId program;                // empty unless shipped
  std::uint8_t minor = 0;        // version of the protocol that a worker must know, for its essential options
  bool detach = false;           // may start while its client is away
  std::uint32_t threads = 1;     // slots of one worker that a task takes
  auto operator<=>(const Placement&) const = default;

  bool anywhere() const {
    return resources.empty() && workers.empty() && prefer.empty() && library_function.empty() && minor == 0;
  }
};

/// Whether all amounts are valid: not negative, infinite or NaN.
inline bool are_amounts(const std::map<std::string, double>& resources) {
  return std::all_of(resources.begin(), resources.end(),
                     [](const auto& entry) { return std::isfinite(entry.second) && entry.second >= 0; });
}

struct Worker;

struct ReadyQueue {
  const Placement* placement = nullptr;  // the queue's key in Session::queues
  bool anywhere = false;                 // placement->anywhere()
  TaskList tasks;
  // Tasks that some workers must not or should not get: the task failed there, or its argument is larger than
  // their memory.
  TaskList retries;
  std::uint64_t blocked_in_pass = 0;          // the last scheduling pass that found no worker with room
  std::uint64_t retries_blocked_in_pass = 0;  // the last pass that found none for `retries`
  std::vector<Worker*> candidates;            // who may run it by name and resources, as of `candidates_of`
  std::uint64_t candidates_of = 0;            // Eligibility::membership()
  std::uint64_t sized_for = 0;                // membership() for which no argument in `retries` was too large
  std::string explained;                      // the reason that was logged last

  bool empty() const { return tasks.empty() && retries.empty(); }
  std::size_t size() const { return tasks.size() + retries.size(); }
  bool contains(const Task& task) const { return tasks.contains(task) || retries.contains(task); }
  /// The oldest task; nullptr: the queue is empty.
  Task* front() const {
    if (retries.empty()) return tasks.front();
    return tasks.empty() || retries.front()->seq < tasks.front()->seq ? retries.front() : tasks.front();
  }
};

struct Spec {
  std::uint32_t number = 0;  // its number in its session
  wire::TaskSpec content;
  ReadyQueue* queue = nullptr;
  std::uint32_t slots = 1;  // of one worker, that each of its tasks takes
  std::uint64_t open_tasks = 0;
  std::uint8_t minor = 0;     // version of the protocol that a broker must know to run its tasks
  std::string refusal;        // why this broker cannot run its tasks; empty: it can
  bool forgotten = false;     // by its client: removed with its last task
  bool recorded = false;      // its record was given to the journal queue, before its first task
  std::vector<BlobId> holds;  // its blobs in the blob directory
};

/// The entry of a detached task, from its arrival until its answer was fetched. While the task is open, there
/// is a Task for it too.
struct Detached {
  enum class Phase : std::uint8_t {
    saving,     // not journaled yet, so its client was promised nothing
    open,       // the journal has the task
    finishing,  // it has an answer, which is not journaled yet
    finished,   // the journal has the answer, until it is fetched or expires
  };
  Phase phase = Phase::saving;
  bool recorded = false;   // its record has been given to the journal queue
  bool journaled = false;  // its record is durable: KEPT may be sent
  bool fetched = false;    // a client has the answer, which is dropped once no other holds a Future for it
  std::vector<Uuid> had;   // the sessions whose clients have fetched the answer
  Spec* spec = nullptr;
  std::size_t missing = 0;    // blobs that are not in the blob directory yet
  std::vector<BlobId> holds;  // its argument, then its result, as far as they are blobs
  std::vector<wire::DeliveryRecord> charges;
  std::size_t charges_saved = 0;  // how many of `charges` the journal has
  std::vector<TaskId> watchers;   // attached tasks whose sessions have not fetched the answer
  Time found_until{};             // until then, a client that got it in FOUND may attach to it
  wire::DeliveryRecord answer;
  Uuid maker;                         // the worker that has the result too, until the journal has the answer
  std::vector<wire::Payload> spares;  // result blobs of other attempts, in case the fetched one is lost
  std::int64_t submitted_ms = 0;      // since 1970
  std::int64_t finished_ms = 0;

  bool is_had_by(const Uuid& session) const {
    return std::find(had.begin(), had.end(), session) != had.end();
  }
  /// The number, from 1, of the charge for this failure; 0: none. An error says when and where it happened,
  /// so two executions never have equal errors.
  std::uint32_t charge_of(const wire::ResultRecord& failure) const {
    const auto found = std::find_if(charges.begin(), charges.end(), [&](const wire::DeliveryRecord& charge) {
      return charge.outcome == failure.outcome && charge.payload == failure.payload;
    });
    return found != charges.end() ? static_cast<std::uint32_t>(found - charges.begin()) + 1 : 0;
  }
  /// Whether its answer or one of its charges is not in the journal yet.
  bool unsaved() const { return phase == Phase::finishing || charges_saved < charges.size(); }
};

enum class SessionState : std::uint8_t {
  connected,
  silent,    // connected, but missed its heartbeats: may send something again until `grace_ends`
  lost,      // without a connection: may come back until `grace_ends`
  ending,    // waits for workers to stop its tasks
  detached,  // its client is gone for good; its detached tasks go on
};

struct Session {
  Uuid id;
  std::string owner;  // name of the identity that made it; also owns its detached tasks
  Roles roles;        // of the identity that joined it last
  std::string name;
  std::string host;
  PeerId peer = kNoPeer;
  SessionState state = SessionState::connected;
  Time grace_ends{};
  std::string loss;                             // silent, lost: the reason, for the log
  std::optional<Time> heard_again;              // when it last came back from being silent
  Duration give_up = std::chrono::seconds(60);  // how long it waits for a lost broker, from its HELLO
  bool handshake_confirmed = false;             // it has sent something after our WELCOME
  bool synced = false;                          // it has announced all of its open tasks
  std::uint64_t received = 0;      // highest task number that its client announced; the journal may have more
  bool received_withheld = false;  // flow control: a RECEIVED has not been sent yet
  std::size_t unreceived = 0;      // flow control: bytes that came since the last RECEIVED
  SeqTable<Task> tasks;
  std::unordered_map<std::uint32_t, std::unique_ptr<Spec>> specs;
  // Nodes are stable: specs and `order` point to the queues.
  std::map<Placement, ReadyQueue> queues;
  std::vector<ReadyQueue*> order;  // the queues, highest priority first
  TaskList awaiting;
  TaskList delayed;
  TaskList saving;
  std::size_t queued = 0;        // tasks in ready queues
  std::size_t queued_bytes = 0;  // payloads of all its tasks, and answers of its detached tasks

  std::map<std::uint64_t, Detached> detached;
  std::map<std::uint64_t, TaskId> watches;      // its attached tasks, until it has fetched their answers
  std::vector<std::uint64_t> journaled_unsent;  // detached tasks for which KEPT has not been sent yet
  bool recorded = false;                        // its record was given to the journal queue

  Deliveries deliveries;
  // Until SYNCED: the delivery numbers, by task, of the answers that the client had not seen when it joined
  // again.
  std::map<std::uint64_t, std::uint64_t> unseen_answers;
  PendingReleases releases;
  std::set<Uuid> resend;  // workers whose results were refused until SYNCED

  Turn turn;
  double unsettled_us = 0;   // slot time of the results being processed, not charged yet
  double average_us = 1000;  // run time of recent tasks
  bool dirty = false;        // is in Delivery::dirty_
  std::uint64_t serial = 0;  // order of joining
  std::uint64_t finished = 0;

  /// Whether its client may be gone, or come back: running tasks go on, and only detached tasks start.
  bool away() const { return state == SessionState::silent || state == SessionState::lost; }
};

/// A worker is bad when at least this many of its last attempts failed, and most of them did.
inline constexpr std::uint32_t kBadMin = 10;

/// How the last attempts of a worker ended.
class Outcomes {
 public:
  static constexpr std::uint32_t kMax = 64;

  void add(bool failed) {
    failed_ = failed_ << 1 | static_cast<std::uint64_t>(failed);
    count_ += count_ < kMax;
  }
  std::uint32_t count() const { return count_; }
  std::uint32_t failed() const { return static_cast<std::uint32_t>(std::popcount(failed_)); }
  /// Forgets all but the last `count` attempts.
  void keep(std::uint32_t count) {
    count_ = std::min(count_, count);
    failed_ &= (std::uint64_t{1} << count) - 1;
  }

 private:
  std::uint64_t failed_ = 0;  // a bit per attempt, the latest one lowest
  std::uint32_t count_ = 0;
};

/// A program that did not start on a worker.
struct Refusal {
  Time at{};             // when the worker said so
  Time until{};          // the worker does not get the program again before
  Duration memory{};     // from `at` to `until`; doubles each time
  wire::Payload reason;  // an encoded wire::ErrorInfo
};

/// What a worker has of one session.
struct WorkerSession {
  std::optional<std::uint64_t> next_outbox;     // number of the next result to take
  std::unordered_set<std::uint32_t> specs;      // all specs that were sent to it
  std::unordered_set<std::uint32_t> spec_sent;  // those sent on this connection: earlier ones may be lost
};

/// WorkerSession by session. The first one is stored inside the Worker: most workers have one session at a
/// time, and with 100 000 workers any other memory is a cache miss.
class WorkerSessions {
 public:
  /// nullptr: the worker has nothing of it.
  WorkerSession* find(const Uuid& id) {
    if (first_ && *first_ == id) return &in_place_;
    const auto found = others_.find(id);
    return found != others_.end() ? &found->second : nullptr;
  }
  /// Adds one if there is none.
  WorkerSession& of(const Uuid& id) {
    if (WorkerSession* const known = find(id)) return *known;
    if (first_) return others_[id];
    first_ = id;
    return in_place_;
  }
  /// False: there was none.
  bool erase(const Uuid& id) {
    if (!first_ || *first_ != id) return others_.erase(id) > 0;
    first_.reset();
    in_place_ = {};
    return true;
  }
  template <class F>
  void for_each(F f) {
    if (first_) f(in_place_);
    for (auto& [id, session] : others_) f(session);
  }

 private:
  std::optional<Uuid> first_;  // the session that in_place_ belongs to
  WorkerSession in_place_;
  std::unordered_map<Uuid, WorkerSession> others_;
};

/// A worker's claim to have an attempt of a task.
struct HeldClaim {
  Worker* worker = nullptr;
  wire::ClaimRecord claim;
};

enum class WorkerState : std::uint8_t { joining, ready, draining, lost };

struct Worker {
  // Fields that each of its messages touches come first and together: with many thousand workers, each access
  // to another cache line is a miss.
  PeerId peer = kNoPeer;
  WorkerState state = WorkerState::joining;
  bool handshake_confirmed = false;  // it has sent something after our WELCOME
  bool oversubscribed = false;       // ready, and its tasks need more slots than it has
  std::uint8_t minor = 0;            // version of the protocol that it speaks
  std::uint32_t slots = 0;           // copy of hello.slots, which is in another cache line
  TaskList tasks;                    // in order of assignment
  LoadPlace open;                    // in Placer::open_
  std::size_t extra = 0;             // slots that its tasks take beyond one each
  std::size_t credit = 0;            // slots that its running and waiting tasks may take
  double average_us = 0;             // run time of recent tasks; 0: none yet
  Outcomes outcomes;                 // of the last attempts
  bool holds = false;                // it gets only as many tasks as `hold` allows
  bool avoided = false;  // it gets no new tasks until `avoided_until`: nearly everything fails there
  Time progressed{};     // it last started, finished or returned something, or had nothing to do
  std::uint64_t finished = 0;
  std::uint64_t last_spec_session =
      0;  // session serial, and spec, of the last assignment: the worker knows that spec
  std::uint32_t last_spec_sent = 0;
  std::uint64_t releasing = 0;  // the last outbox entry that this flush of releases covers
  // Attempts that the worker still has and that no task is bound to: the worker was told to stop them, or
  // their session is not known yet. Each takes a slot and, as its needs are unknown, all of the worker's
  // resources.
  Rare<std::set<std::pair<TaskId, wire::Attempt>>> zombies;
  // Execution numbers of attempts that it claimed as done and whose results have not come again yet.
  Rare<std::map<std::pair<TaskId, wire::Attempt>, std::uint32_t>> executions;
  Rare<std::unordered_map<BlobId, Refusal>> cannot_start;  // by program
  wire::Assign outgoing;                                   // of this scheduling pass
  WorkerSessions sessions;
  wire::HelloWorker hello;
  std::string owner;  // name of the identity that it joined with
  Time gone_ends{};   // lost: when its tasks go to other workers
  std::map<std::string, double> resources_free;
  std::unordered_map<Uuid, std::vector<wire::ClaimRecord>> claims;  // of this connection, until READY
  std::uint64_t serial = 0;                                         // order of joining
  std::string note;                                                 // why it takes or finishes no tasks
  wire::Heartbeat hold;                                             // its last heartbeat about holding
  Time retract_again{};  // rebalancing takes no tasks back from it before
  Time avoided_until{};
  Duration avoided_for{};  // the present or last avoidance; doubles each time

  bool is_called(const std::string& name) const { return hello.name == name || hello.host == name; }
  /// Slots that its running and waiting tasks need; may exceed `slots`.
  std::size_t load() const { return tasks.size() + extra; }
  std::size_t idle_slots() const { return slots > load() ? slots - load() : 0; }
};

}  // namespace weft::broker
