// SPDX-License-Identifier: MIT
// Scheduler decides which worker runs which task, which peers are told what, and what happens when a peer is
// lost. It never sends, sleeps or reads a clock: the shell feeds it events and performs the actions that it
// returns. The loop of the shell is
//
//   for (;;) {
//     poll(sockets, until(scheduler.deadline()));
//     for each message received:  scheduler.step(now, Received{peer, message}, actions);
//     scheduler.step(now, Tick{}, actions);
//     for each action:            perform(action);   // a failed send becomes PeerGone
//   }
//
// A step first applies its event and then assigns all tasks that can be assigned. Not thread-safe; owned by
// one loop. The protocol is in common/PROTOCOL.md. The state is in Tables, and the rules are in the classes
// above Tables: this class has the order of a step, the timers, the connections of peers, and one function
// for each message.
//
// Invariants of the whole; each class has further ones, and check_invariants() checks all that are visible
// between steps:
//   1. A worker's assigned tasks never exceed its credit, nor their resources those of the worker.
//   2. A task that arrived is answered by one final delivery, or its session has ended.
//   3. A worker's result is released only when the client has it, or when no client needs it.
#pragma once

#include <string>

#include "broker/scheduler/assigner.hpp"
#include "broker/scheduler/claim_matcher.hpp"
#include "broker/scheduler/detached_tasks.hpp"
#include "broker/scheduler/events.hpp"
#include "broker/scheduler/explainer.hpp"
#include "broker/scheduler/heartbeats.hpp"
#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/questions.hpp"
#include "broker/scheduler/retries.hpp"
#include "broker/scheduler/session_presence.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"
#include "broker/scheduler/worker_presence.hpp"

namespace weft::broker {

class Scheduler {
 public:
  /// `now` is the time at which this broker starts.
  Scheduler(Settings settings, Time now);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Applies one event at `now`, and appends the actions to perform to `actions`, in order.
  /// REQUIRES: `now` never goes backwards between calls.
  void step(Time now, const Event& event, Actions& actions);

  /// The latest time of the next Tick.
  Time deadline() const;

  /// Aborts if an invariant is broken. Called after every step in tests and simulation.
  void check_invariants() const;

  // ---- queries ----
  wire::Status status(bool details) const { return questions_.status(details); }
  bool knows(PeerId peer) const { return tables_.roster.peers().contains(peer); }
  bool has_session(const Uuid& id) const { return tables_.roster.sessions().contains(id); }
  std::uint64_t finished() const { return lifecycle_.finished(); }

 private:
  // scheduler.cpp: dispatch, connections, timers
  void on(const Received& event);
  void on(const ReceivedGarbage& event);
  void on(const PeerGone& event);
  void on(const ProcessGone& event);
  void on(const Tick& event);
  void on(const Shutdown& event);
  void on(const Recovered& event);
  void on(const Persisted& event);
  void on(const BlobReady& event);
  void on(const BlobBad& event);
  void on_timer(const Timer& timer);
  void scan_peers();
  void refuse(PeerId peer, wire::RefuseCode code, std::string text);
  void lose_peer(PeerId peer, const std::string& why, SessionPresence::Loss loss);
  void on_clock_jump();
  void finish_dirty();
  void drop_peer(PeerId peer);

  // on_client.cpp: one function for each message of a client
  void on_hello(const Received& event, const wire::HelloClient& hello);
  void on_client_message(Session& session, const wire::Message& message);
  void on(Session& session, const wire::Define& define);
  void on(Session& session, const wire::Forget& forget);
  void on(Session& session, const wire::Submit& submit);
  void on(Session& session, const wire::Reannounce& reannounce);
  void on(Session& session, const wire::Synced& synced);
  void on(Session& session, const wire::Cancel& cancel);
  void on(Session& session, const wire::Ack& ack);
  void on(Session& session, const wire::Fetched& fetched);
  void on(Session& /*session*/, const wire::Heartbeat& /*beat*/) {}  // its receipt has set Peer::heard
  void on(Session& session, const wire::Goodbye& goodbye);
  static bool is_answered_already(const Session& session, std::uint64_t seq);
  bool within_window(Session& session, std::size_t bytes);
  Spec* spec_of(Session& session, std::uint64_t seq, std::uint32_t number);

  // on_worker.cpp: one function for each message of a worker
  void on_hello(const Received& event, const wire::HelloWorker& hello);
  void on_worker_message(Worker& worker, const wire::Message& message);
  void on(Worker& worker, const wire::Claims& claims);
  void on(Worker& worker, const wire::Ready& ready);
  void on(Worker& worker, const wire::Results& results);
  void on(Worker& worker, const wire::Started& started);
  void on(Worker& worker, const wire::Returned& returned);
  void on(Worker& worker, const wire::Draining& draining);
  void on(Worker& worker, const wire::Heartbeat& beat);
  void on(Worker& worker, const wire::Goodbye& goodbye);
  void take_results(Worker& worker, const wire::Results& results);
  void take_result(Worker& worker, Task& task, const wire::Attempt& attempt,
                   const wire::ResultRecord& record);
  void note_end(Worker& worker, const Task& task, wire::Outcome outcome);

  const Settings settings_;
  Tables tables_;
  Lifecycle lifecycle_{settings_, tables_};
  Retries retries_{settings_, tables_, lifecycle_};
  DetachedTasks detached_{settings_, tables_, lifecycle_, retries_};
  ClaimMatcher claim_matcher_{tables_, lifecycle_, retries_};
  SessionPresence sessions_{settings_, tables_, lifecycle_};
  WorkerPresence workers_{settings_, tables_, lifecycle_, retries_};
  Heartbeats heartbeats_{settings_, tables_};
  Assigner assigner_{settings_, tables_, lifecycle_};
  Explainer explainer_{settings_, tables_};
  Questions questions_{settings_, tables_, lifecycle_, sessions_, explainer_};
};

}  // namespace weft::broker
