// SPDX-License-Identifier: MIT
// SessionPresence: clients join, fall silent, are lost, come back and leave, and what becomes of their tasks
// then. Changes Session::state. A lost or silent client may come back until Session::grace_ends (a lease):
// until then its running tasks go on, but only detached tasks start. PROTOCOL.md sections 2 and 8.
//
//   connected -> silent           no message or heartbeat for heartbeat_liveness intervals
//   silent -> connected           a message or heartbeat
//   connected, silent -> lost     the connection is gone
//   lost, detached -> connected   HELLO on a new connection
//   any -> ending or detached     GOODBYE, the client's process has ended, or grace_ends has passed;
//                                 detached: the client has left detached tasks, which go on
//   ending, detached -> removed   the session has no task left
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class SessionPresence {
 public:
  /// How a client was lost.
  enum class Loss : std::uint8_t {
    closed,       // its kernel closed the connection: the client has ended, or is about to come back
    unreachable,  // the connection broke: the client may be alive
  };
  /// Clients that left open tasks lately: when, and a notice for people.
  using Departed = std::deque<std::pair<Time, Notice>>;

  SessionPresence(const Settings& settings, Tables& tables, Lifecycle& lifecycle)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle) {}

  // ---- joining ----

  /// Whether the tasks of the session are being stopped. A client that joins now must try again, and then
  /// gets a new session.
  static bool is_stopping(const Session& session);
  /// Stale HELLO: it acknowledges deliveries that were not made, those of an earlier session under this id.
  bool is_stale(const Session& session, const wire::HelloClient& hello) const;
  /// The client has said HELLO: welcomes it to its session, or to a new one that the client's identity owns.
  /// REQUIRES: the session has no connection.
  void join(const Received& event, const wire::HelloClient& hello);
  /// Adds a session of the journal, as if its client had just been lost: the client may come back.
  void restore(const SessionRecord& record);

  // ---- lost and back ----

  /// The client's connection is gone. After a closed connection the client has ended or comes back at once,
  /// so its grace period is short; an unreachable client may come back when the network does.
  void lose(Session& session, const std::string& why, Loss loss);
  /// The client's heartbeats are missing: its network may be down, or its process or machine suspended.
  void fall_silent(Session& session, const std::string& why);
  /// A client that was silent has sent something.
  void hear_again(Session& session);
  /// Whether the client is away and its grace period is over.
  bool is_overdue(const Session& session) const;
  /// After a stall of this process: the grace periods of all clients that are away start again.
  void renew_grace();

  // ---- the end ----

  /// The client is gone for good: cancels its tasks, except detached ones.
  void end(Session& session, const std::string& why);
  /// The client has left, the session has no task left here, and no worker has a zombie attempt of it.
  bool is_over(const Session& session) const {
    const bool left = session.state == SessionState::ending || session.state == SessionState::detached;
    return left && session.tasks.empty() && session.detached.empty() &&
           !tables_.adoption.has_zombies(session);
  }
  /// Destroys the session. REQUIRES: is_over().
  void remove(Session& session);
  /// An awaited session's client did not come: workers drop what they have of the session.
  void give_up(const Uuid& session);

  /// Asks workers to send again the results that were refused before SYNCED, when it was unknown whether the
  /// client waits for them.
  void ask_again(Session& session);

  const Departed& departed() const { return departed_; }

 private:
  Session& add(const Uuid& id);
  void forget_deliveries(Session& session);
  void leave_detached(Session& session);
  void end_at_workers(const Uuid& session);
  std::uint64_t us_until(Time end) const;

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  Departed departed_;
};

}  // namespace weft::broker
