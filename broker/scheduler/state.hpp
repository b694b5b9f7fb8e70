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
#include "common/base/lazy_container.hpp"
#include "common/base/sequence_map.hpp"

namespace weft::broker {

struct Peer {
  Session* session = nullptr;  // a client's, or
  Worker* worker = nullptr;    // a worker's
  std::uint8_t minor = 0;      // version of the protocol that it speaks
  Time heard{};                // when the last message came from it
  Time sent{};                 // when the last message went to it
};

/// Where and in which order the tasks of a spec may run. Specs of one session with equal placements share a
/// ready queue.
struct Placement {
  std::int32_t priority = 0;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;
  std::vector<std::string> prefer;
  std::string library_function;  // "" unless called by name
  BlobId program;                // empty unless shipped
  std::uint8_t minor = 0;        // version of the protocol that a worker must know, for its essential options
  bool detach = false;           // its tasks start even while their client is away
  std::uint32_t threads = 1;     // slots of one worker that a task takes
  auto operator<=>(const Placement&) const = default;

  bool anywhere() const {
    return resources.empty() && workers.empty() && prefer.empty() && library_function.empty() && minor == 0;
  }
};

/// Whether every amount is usable in sums: not negative, not infinite, not NaN.
inline bool are_amounts(const std::map<std::string, double>& resources) {
  return std::all_of(resources.begin(), resources.end(),
                     [](const auto& entry) { return std::isfinite(entry.second) && entry.second >= 0; });
}

struct Worker;

struct ReadyQueue {
  const Placement* placement = nullptr;  // its key in Session::queues
  bool anywhere = false;                 // placement->anywhere()
  TaskList tasks;
  // Tasks that must not or should not go to some workers: a task failed there, or its argument is larger than
  // the worker's memory.
  TaskList retries;
  std::uint64_t blocked_in_pass = 0;          // scheduling pass that found no free slot for `tasks`
  std::uint64_t retries_blocked_in_pass = 0;  // scheduling pass that found no free slot for `retries`
  std::vector<Worker*> candidates;            // workers that match the placement, as of `candidates_of`
  std::uint64_t candidates_of = 0;            // Eligibility::membership() of `candidates`
  std::uint64_t sized_for = 0;                // membership() for which no argument in `retries` was too large
  std::string explained;                      // last logged reason why its tasks wait

  bool empty() const { return tasks.empty() && retries.empty(); }
  std::size_t size() const { return tasks.size() + retries.size(); }
  bool contains(const Task& task) const { return tasks.contains(task) || retries.contains(task); }
  /// The oldest task of both lists; nullptr when both are empty.
  Task* front() const {
    if (retries.empty()) return tasks.front();
    return tasks.empty() || retries.front()->seq < tasks.front()->seq ? retries.front() : tasks.front();
  }
};

struct Spec {
  std::uint32_t number = 0;  // the client's number for it, unique in its session
  wire::TaskSpec content;
  ReadyQueue* queue = nullptr;
  std::uint32_t slots = 1;  // slots of one worker that each task takes
  std::uint64_t open_tasks = 0;
  std::uint8_t minor = 0;     // version of the protocol that a broker must know to run its tasks
  std::string refusal;        // why this broker cannot run tasks of this spec; empty: it can
  bool forgotten = false;     // the client has dropped the spec: erased with its last task
  bool recorded = false;      // the journal has it, or will before its first task
  std::vector<BlobId> holds;  // its program and libraries, as far as BlobVault holds them for it
};

/// A detached task, from its arrival until its answer has been fetched. While it is open, the session has a
/// Task for it too.
struct Detached {
  enum class Phase : std::uint8_t {
    saving,     // not in the journal yet: nothing has been promised to its client
    open,       // the journal has the task, and it has no answer yet
    finishing,  // answered; the answer is not in the journal yet
    finished,   // the journal has the answer, until it is fetched or expires
  };
  Phase phase = Phase::saving;
  bool recorded = false;   // its record has been given to the journal queue
  bool journaled = false;  // its record is in the journal: JOURNALED may be sent
  bool fetched = false;    // a program has the answer, which is dropped when no other holds a Future for it
  std::vector<Uuid> had;   // sessions whose clients have fetched the answer
  Spec* spec = nullptr;
  std::size_t missing = 0;    // blobs that it waits for and BlobVault does not have yet
  std::vector<BlobId> holds;  // its argument, then its result, as far as they are blobs
  std::vector<wire::DeliveryRecord> charges;
  std::size_t charges_saved = 0;  // how many of `charges` the journal has
  std::vector<TaskId> watchers;   // attached tasks whose sessions have not fetched the answer
  Time found_until{};             // until then a client whose FIND returned it may be about to attach
  wire::DeliveryRecord answer;
  Uuid maker;                         // the worker that holds the result in escrow until the journal has it
  std::vector<wire::Payload> spares;  // results of other attempts, in case the one being fetched is lost
  std::int64_t submitted_ms = 0;      // since 1970
  std::int64_t finished_ms = 0;       // since 1970

  bool is_had_by(const Uuid& session) const {
    return std::find(had.begin(), had.end(), session) != had.end();
  }
  /// Number of the charge for this failure, from 1; 0: it has not been charged. Equal payloads mean the same
  /// execution, because an error contains its time and place.
  std::uint32_t charge_of(const wire::ResultRecord& failure) const {
    const auto found = std::find_if(charges.begin(), charges.end(), [&](const wire::DeliveryRecord& charge) {
      return charge.outcome == failure.outcome && charge.payload == failure.payload;
    });
    return found != charges.end() ? static_cast<std::uint32_t>(found - charges.begin()) + 1 : 0;
  }
  /// Whether the journal lacks the answer or a charge.
  bool unsaved() const { return phase == Phase::finishing || charges_saved < charges.size(); }
};

enum class SessionState : std::uint8_t {
  connected,
  silent,    // connected, but its heartbeats are missing: may speak again until `grace_ends`
  lost,      // without a connection: may come back until `grace_ends`
  ending,    // waits for its workers to stop its tasks
  detached,  // has no client; its detached tasks go on
};

struct Session {
  Uuid id;
  std::string owner;  // name of the identity that made the session and owns its detached tasks
  Roles roles;        // of the identity that has joined it last
  std::string name;
  std::string host;
  PeerId peer = kNoPeer;
  SessionState state = SessionState::connected;
  Time grace_ends{};
  std::string loss;                             // silent, lost: how it was lost, for the log
  std::optional<Time> heard_again;              // when it spoke again after it had been silent
  Duration give_up = std::chrono::seconds(60);  // how long the client waits for a lost broker (HELLO)
  bool handshake_confirmed = false;             // it has sent something after our WELCOME
  bool synced = false;
  std::uint64_t received = 0;      // highest task number announced to this broker; recovery does not set it
  bool received_withheld = false;  // a RECEIVED is due but held back (flow control)
  std::size_t unreceived = 0;      // bytes submitted since the last RECEIVED
  SequenceMap<Task> tasks;
  std::unordered_map<std::uint32_t, std::unique_ptr<Spec>> specs;
  // Nodes are stable: specs and `order` point to the queues.
  std::map<Placement, ReadyQueue> queues;
  std::vector<ReadyQueue*> order;  // the queues, highest priority first
  TaskList awaiting;
  TaskList delayed;
  TaskList saving;
  std::size_t queued = 0;        // tasks in ready queues
  std::size_t queued_bytes = 0;  // payloads of all its tasks, and the stored answers of detached tasks

  std::map<std::uint64_t, Detached> detached;
  std::map<std::uint64_t, TaskId> watches;      // its attached tasks, until it has fetched their answers
  std::vector<std::uint64_t> journaled_unsent;  // detached tasks that the next JOURNALED will name
  bool recorded = false;                        // the journal has it, or will before its first task

  Deliveries deliveries;
  // Until SYNCED: task to delivery number, for the answers that the client had not seen when it joined again.
  std::map<std::uint64_t, std::uint64_t> unseen_answers;
  PendingReleases releases;
  std::set<Uuid> resend;  // workers whose results were refused until SYNCED

  Turn turn;
  double unsettled_us = 0;   // slot time of the results in this message that is not charged yet
  double average_us = 1000;  // average duration of recent tasks
  bool dirty = false;        // is in Delivery::dirty_
  std::uint64_t serial = 0;  // order of joining
  std::uint64_t finished = 0;

  /// Its client may be gone or may come back: running tasks go on, but only detached tasks start.
  bool away() const { return state == SessionState::silent || state == SessionState::lost; }
};

/// A worker is bad when at least this many of its last attempts failed, and most of them.
inline constexpr std::uint32_t kBadMin = 10;

/// How the last attempts (at most kMax) of a worker ended.
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
  std::uint64_t failed_ = 0;  // a bit for each attempt, the last one lowest
  std::uint32_t count_ = 0;
};

/// A program that did not start on a worker.
struct Refusal {
  Time at{};             // when the worker said so
  Time until{};          // the program is not tried on the worker again before this time
  Duration memory{};     // from `at` to `until`; twice as long the next time
  wire::Payload reason;  // an encoded wire::ErrorInfo
};

/// What a worker has of one session.
struct WorkerSession {
  std::optional<std::uint64_t> next_outbox;     // number of the next result to take
  std::unordered_set<std::uint32_t> specs;      // specs that were sent to the worker
  std::unordered_set<std::uint32_t> spec_sent;  // specs sent on this connection: the others may be lost
};

/// The WorkerSession records of a worker, by session. The first is stored in the Worker itself: most workers
/// serve one session at a time, and with 100,000 workers each access elsewhere is a cache miss.
class WorkerSessions {
 public:
  /// nullptr: the worker has nothing of the session.
  WorkerSession* find(const Uuid& id) {
    if (first_ && *first_ == id) return &in_place_;
    const auto found = others_.find(id);
    return found != others_.end() ? &found->second : nullptr;
  }
  /// Creates the record if there is none.
  WorkerSession& of(const Uuid& id) {
    if (WorkerSession* const known = find(id)) return *known;
    if (first_) return others_[id];
    first_ = id;
    return in_place_;
  }
  /// Returns whether there was a record.
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
  std::optional<Uuid> first_;  // session of in_place_
  WorkerSession in_place_;
  std::unordered_map<Uuid, WorkerSession> others_;
};

/// An attempt that a worker claims to have.
struct HeldClaim {
  Worker* worker = nullptr;
  wire::ClaimRecord claim;
};

enum class WorkerState : std::uint8_t { joining, ready, draining, lost };

struct Worker {
  // Fields that every message of the worker touches come first, on few cache lines: with many thousand
  // workers each access is a cache miss.
  PeerId peer = kNoPeer;
  WorkerState state = WorkerState::joining;
  bool handshake_confirmed = false;  // it has sent something after our WELCOME
  bool oversubscribed = false;       // ready, and its tasks need more slots than it has
  std::uint8_t minor = 0;            // version of the protocol that it speaks
  std::uint32_t slots = 0;           // copy of hello.slots, to save a cache miss
  TaskList tasks;                    // in order of assignment
  LoadPlace open;                    // in Placer::open_
  std::size_t extra = 0;             // slots that its tasks take beyond one each
  std::size_t credit = 0;            // slots that its tasks may take, including prefetched tasks
  double average_us = 0;             // average duration of recent tasks; 0: none yet
  Outcomes outcomes;                 // of the last attempts
  bool holds = false;                // it takes no new tasks, or only as `hold` says
  bool avoided = false;  // until `avoided_until` it gets no new tasks, because nearly everything fails there
  Time progressed{};     // when it last started, finished or returned a task, or had nothing to do
  std::uint64_t finished = 0;
  std::uint64_t last_spec_session =
      0;  // Session::serial and spec number of the last assignment sent: the worker knows that spec
  std::uint32_t last_spec_sent = 0;
  std::uint64_t releasing = 0;  // last outbox entry that this flush of releases covers
  // Zombie attempts: the worker still has them, but no task here stands for them, because they were cancelled
  // or their session is not known yet. They take slots and, as their resources are unknown, all of its
  // resources.
  LazyContainer<std::set<std::pair<TaskId, wire::Attempt>>> zombies;
  // Execution numbers of the attempts that it claimed as done and whose results have not come yet.
  LazyContainer<std::map<std::pair<TaskId, wire::Attempt>, std::uint32_t>> executions;
  LazyContainer<std::unordered_map<BlobId, Refusal>> cannot_start;  // by program
  wire::Assign outgoing;                                            // assignments of this scheduling pass
  WorkerSessions sessions;
  wire::HelloWorker hello;
  std::string owner;  // name of the identity that it joined with
  Time gone_ends{};   // lost: when its tasks are taken from it and queued again
  std::map<std::string, double> resources_free;
  std::unordered_map<Uuid, std::vector<wire::ClaimRecord>> claims;  // of this connection, until READY
  std::uint64_t serial = 0;                                         // order of joining
  std::string note;                                                 // what is wrong with it, for people
  wire::Heartbeat hold;                                             // why it holds: its last heartbeat
  Time retract_again{};  // it is not asked to give tasks back before this time
  Time avoided_until{};
  Duration avoided_for{};  // length of the last time it was avoided; twice as long the next time

  bool is_called(const std::string& name) const { return hello.name == name || hello.host == name; }
  /// Slots that its tasks take; more than `slots` when some tasks are prefetched.
  std::size_t load() const { return tasks.size() + extra; }
  std::size_t idle_slots() const { return slots > load() ? slots - load() : 0; }
};

}  // namespace weft::broker
