// SPDX-License-Identifier: MIT
// The records of peers, sessions (clients), workers, specs, ready queues and detached tasks. Plain data,
// which Roster owns; README.md says which class changes which part.
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
  Time heard{};
  Time sent{};
};

/// Where the tasks of a spec may run. Specs of one session that agree in all of it share a queue.
struct Placement {
  std::int32_t priority = 0;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;
  std::vector<std::string> prefer;
  std::string library_function;  // "" unless called by name
  BlobId program;                // empty unless shipped
  std::uint8_t minor = 0;        // version of the protocol that a worker must know, for its essential options
  bool detach = false;           // starts though its client is away
  std::uint32_t threads = 1;     // slots of one worker that a task takes
  auto operator<=>(const Placement&) const = default;

  bool anywhere() const {
    return resources.empty() && workers.empty() && prefer.empty() && library_function.empty() && minor == 0;
  }
};

/// Whether they can be counted with: no negative amount, infinity or NaN.
inline bool are_amounts(const std::map<std::string, double>& resources) {
  return std::all_of(resources.begin(), resources.end(),
                     [](const auto& entry) { return std::isfinite(entry.second) && entry.second >= 0; });
}

struct Worker;

struct ReadyQueue {
  const Placement* placement = nullptr;  // the key under which its session has it
  bool anywhere = false;                 // as that says
  TaskList tasks;
  // Each has workers that it must not, or should not go to: it failed there, or its argument is larger than
  // what they have of memory.
  TaskList retries;
  std::uint64_t blocked_in_pass = 0;          // scheduling pass that found no room for it
  std::uint64_t retries_blocked_in_pass = 0;  // that found none for its retries
  std::vector<Worker*> candidates;            // who may run it by name and resources, as of `candidates_of`
  std::uint64_t candidates_of = 0;            // Eligibility::membership()
  std::uint64_t sized_for = 0;                // membership() for which no argument in `retries` was too large
  std::string explained;                      // the reason that was logged last

  bool empty() const { return tasks.empty() && retries.empty(); }
  std::size_t size() const { return tasks.size() + retries.size(); }
  bool contains(const Task& task) const { return tasks.contains(task) || retries.contains(task); }
  /// The oldest.
  Task* front() const {
    if (retries.empty()) return tasks.front();
    return tasks.empty() || retries.front()->seq < tasks.front()->seq ? retries.front() : tasks.front();
  }
};

struct Spec {
  std::uint32_t number = 0;  // by which its session knows it
  wire::TaskSpec content;
  ReadyQueue* queue = nullptr;
  std::uint32_t slots = 1;  // of one worker, that each of its tasks takes
  std::uint64_t open_tasks = 0;
  std::uint8_t minor = 0;     // version of the protocol that a broker must know to run its tasks
  std::string refusal;        // why no task of it can be run by this broker; empty: one can
  bool forgotten = false;     // by its client: goes with its last task
  bool recorded = false;      // the journal has it, or will before its first task
  std::vector<BlobId> holds;  // what is kept in the folder for it
};

/// A detached task, from its arrival until its answer was fetched. While it is open there is a Task beside
/// it.
struct Detached {
  enum class Phase : std::uint8_t {
    saving,     // its client was promised nothing yet
    open,       // the journal has it
    finishing,  // it is answered, and the journal does not have that yet
    finished,   // the answer is kept until it is fetched
  };
  Phase phase = Phase::saving;
  bool recorded = false;   // its record has been given to the journal queue
  bool journaled = false;  // and is in the journal: KEPT may be sent
  bool fetched = false;    // a program has the answer, which goes when no other holds a Future for it
  std::vector<Uuid> had;   // by the clients of these sessions
  Spec* spec = nullptr;
  std::size_t missing = 0;    // blobs that are not kept yet
  std::vector<BlobId> holds;  // its argument, then its result, as far as they are blobs
  std::vector<wire::DeliveryRecord> charges;
  std::size_t charges_saved = 0;  // of them the journal has
  std::vector<TaskId> watchers;   // attached tasks whose sessions have not fetched the answer
  Time found_until{};             // a client that has just heard of it may be about to attach to it
  wire::DeliveryRecord answer;
  Uuid maker;                         // the worker that has the result too, until the journal has the answer
  std::vector<wire::Payload> spares;  // blobs of its other attempts, should the one that is fetched be lost
  std::int64_t submitted_ms = 0;      // since 1970
  std::int64_t finished_ms = 0;

  bool is_had_by(const Uuid& session) const {
    return std::find(had.begin(), had.end(), session) != had.end();
  }
  /// Which of the charges, from 1, is this failure; 0: none. An error says when and where it happened, so
  /// that two executions do not have the same.
  std::uint32_t charge_of(const wire::ResultRecord& failure) const {
    const auto found = std::find_if(charges.begin(), charges.end(), [&](const wire::DeliveryRecord& charge) {
      return charge.outcome == failure.outcome && charge.payload == failure.payload;
    });
    return found != charges.end() ? static_cast<std::uint32_t>(found - charges.begin()) + 1 : 0;
  }
  /// Something of it is not in the journal yet.
  bool unsaved() const { return phase == Phase::finishing || charges_saved < charges.size(); }
};

enum class SessionState : std::uint8_t {
  connected,
  silent,    // its connection is there, and nothing was heard for a while: may speak again until `grace_ends`
  lost,      // without a connection: may come back until `grace_ends`
  ending,    // waits for its workers to stop its tasks
  detached,  // nobody is there; what it left goes on
};

struct Session {
  Uuid id;
  std::string owner;  // name of the identity that made it, and with it its detached tasks
  Roles roles;        // of the identity that has joined it last
  std::string name;
  std::string host;
  PeerId peer = kNoPeer;
  SessionState state = SessionState::connected;
  Time grace_ends{};
  std::string loss;                             // silent, lost: how, for the log
  std::optional<Time> heard_again;              // after it had been silent
  Duration give_up = std::chrono::seconds(60);  // so long it waits for a lost broker, as its HELLO says
  bool handshake_confirmed = false;             // it has sent something after our WELCOME
  bool synced = false;
  std::uint64_t received = 0;      // highest task number that was announced here: not what the journal has
  bool received_withheld = false;  // RECEIVED is owed
  std::size_t unreceived = 0;      // bytes that came since the last RECEIVED
  SeqTable<Task> tasks;
  std::unordered_map<std::uint32_t, std::unique_ptr<Spec>> specs;
  // Placements in scheduling order: higher priority first. Nodes are stable.
  std::map<Placement, ReadyQueue> queues;
  std::vector<ReadyQueue*> order;  // of the queues, by falling priority
  TaskList awaiting;
  TaskList delayed;
  TaskList saving;
  std::size_t queued = 0;        // tasks in ready queues
  std::size_t queued_bytes = 0;  // payload of all its tasks, and the answers that are kept

  std::map<std::uint64_t, Detached> detached;
  std::map<std::uint64_t, TaskId> watches;      // its attached tasks, until it has fetched their answers
  std::vector<std::uint64_t> journaled_unsent;  // detached tasks of which the client is to be sent KEPT
  bool recorded = false;                        // the journal has it, or will before its first task

  Deliveries deliveries;
  // Until SYNCED: the answers that the client had not seen when it joined again, by task; their delivery
  // numbers.
  std::map<std::uint64_t, std::uint64_t> unseen_answers;
  PendingReleases releases;
  std::set<Uuid> resend;  // workers whose results were refused until SYNCED

  Turn turn;
  double unsettled_us = 0;   // slot time of the results in hand, that is not charged yet
  double average_us = 1000;  // of recent tasks
  bool dirty = false;        // is in Delivery::dirty_
  std::uint64_t serial = 0;  // order of joining
  std::uint64_t finished = 0;

  /// It may be gone, or come back: what runs goes on, and nothing new starts but what is detached.
  bool away() const { return state == SessionState::silent || state == SessionState::lost; }
};

/// A worker is bad when so many of its last attempts failed, and most of them.
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
  /// Of those, only the last `count` matter from now on.
  void keep(std::uint32_t count) {
    count_ = std::min(count_, count);
    failed_ &= (std::uint64_t{1} << count) - 1;
  }

 private:
  std::uint64_t failed_ = 0;  // a bit for each, the last one lowest
  std::uint32_t count_ = 0;
};

/// A program that did not start on a worker.
struct Refusal {
  Time at{};             // when the worker said so
  Time until{};          // not to be tried again before
  Duration memory{};     // how long that was; twice as long the next time
  wire::Payload reason;  // an encoded wire::ErrorInfo
};

/// What a worker has of one session.
struct WorkerSession {
  std::optional<std::uint64_t> next_outbox;     // number of the next result to take
  std::unordered_set<std::uint32_t> specs;      // that were sent to it
  std::unordered_set<std::uint32_t> spec_sent;  // those on this connection: the others may be lost
};

/// By session. The first has its place in the Worker: most have one at a time, and of a hundred thousand
/// workers what is elsewhere in memory is far away.
class WorkerSessions {
 public:
  /// nullptr: the worker has nothing of it.
  WorkerSession* find(const Uuid& id) {
    if (first_ && *first_ == id) return &in_place_;
    const auto found = others_.find(id);
    return found != others_.end() ? &found->second : nullptr;
  }
  /// Made anew if there is none.
  WorkerSession& of(const Uuid& id) {
    if (WorkerSession* const known = find(id)) return *known;
    if (first_) return others_[id];
    first_ = id;
    return in_place_;
  }
  /// Whether there was one.
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
  std::optional<Uuid> first_;  // whose in_place_ is
  WorkerSession in_place_;
  std::unordered_map<Uuid, WorkerSession> others_;
};

/// What a worker says it has of a task.
struct HeldClaim {
  Worker* worker = nullptr;
  wire::ClaimRecord claim;
};

enum class WorkerState : std::uint8_t { joining, ready, draining, lost };

struct Worker {
  // What each of its messages touches stands together: of many thousand workers each is out of every cache.
  PeerId peer = kNoPeer;
  WorkerState state = WorkerState::joining;
  bool handshake_confirmed = false;  // it has sent something after our WELCOME
  bool oversubscribed = false;       // it has more tasks than slots
  std::uint8_t minor = 0;            // version of the protocol that it speaks
  std::uint32_t slots = 0;           // as `hello` says, which is far from here
  TaskList tasks;                    // in order of assignment
  LoadPlace open;                    // in Placer::open_
  std::size_t extra = 0;             // slots that its tasks take beyond one each
  std::size_t credit = 0;            // slots that its tasks may take, with those that wait there
  double average_us = 0;             // of recent tasks; 0: none yet
  Outcomes outcomes;                 // of the last attempts
  bool holds = false;                // it gets nothing new, but what `hold` says
  bool avoided = false;  // until `avoided_until` it gets nothing new: nearly everything fails there
  Time progressed{};     // it last started, finished or returned something, or had nothing to do
  std::uint64_t finished = 0;
  std::uint64_t last_spec_session =
      0;  // serial and spec of the assignment that was sent last: it knows that one
  std::uint32_t last_spec_sent = 0;
  std::uint64_t releasing = 0;  // the last of its outbox that this flush of releases lets go
  // What it still has and no task here stands for: it was asked to stop it, or its session is not known
  // yet. They take slots and, as nobody knows how much of them, all of its resources.
  Rare<std::set<std::pair<TaskId, wire::Attempt>>> zombies;
  // Of what it claimed as done and has not said again yet: the numbers of the executions.
  Rare<std::map<std::pair<TaskId, wire::Attempt>, std::uint32_t>> executions;
  Rare<std::unordered_map<BlobId, Refusal>> cannot_start;  // by program
  wire::Assign outgoing;                                   // of this scheduling pass
  WorkerSessions sessions;
  wire::HelloWorker hello;
  std::string owner;  // name of the identity that it joined with
  Time gone_ends{};   // lost: when its tasks go elsewhere
  std::map<std::string, double> resources_free;
  std::unordered_map<Uuid, std::vector<wire::ClaimRecord>> claims;  // of this connection, until READY
  std::uint64_t serial = 0;                                         // order of joining
  std::string note;                                                 // what is wrong with it
  wire::Heartbeat hold;                                             // what it said last of that
  Time retract_again{};  // not to be asked to give tasks back before
  Time avoided_until{};
  Duration avoided_for{};  // how long that is; twice as long the next time

  bool is_called(const std::string& name) const { return hello.name == name || hello.host == name; }
  /// Slots that its tasks take; more than it has when some wait there.
  std::size_t load() const { return tasks.size() + extra; }
  std::size_t idle_slots() const { return slots > load() ? slots - load() : 0; }
};

}  // namespace weft::broker
