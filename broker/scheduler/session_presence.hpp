// SPDX-License-Identifier: MIT
// SessionPresence: clients join, fall silent, are lost, come back and leave; and what becomes of their tasks
// then. Changes Session::state. A lost or silent client may come back until Session::grace_ends: what runs
// goes on, and nothing new starts but what is detached. PROTOCOL.md sections 2 and 8.
//
//   connected -> silent           nothing was heard of it for a while
//   silent -> connected           it says something
//   connected, silent -> lost     its connection is gone
//   lost, detached -> connected   it says HELLO on a new connection
//   any -> ending or detached     GOODBYE, its process has ended, or its time to come back is over;
//                                 detached: it has left detached tasks, which go on
//   ending, detached -> removed   nothing of it is left
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
  /// How it is known that a client is lost.
  enum class Loss : std::uint8_t {
    closed,       // by its kernel: it has ended, or is about to come back
    unreachable,  // nothing says that it has ended
  };
  /// Clients that left open tasks lately: when, and a sentence for people.
  using Departed = std::deque<std::pair<Time, Notice>>;

  SessionPresence(const Settings& settings, Tables& tables, Lifecycle& lifecycle)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle) {}

  // ---- joining ----

  /// Whether its tasks are being stopped: a client that comes now tries again, and is then a new session.
  static bool is_stopping(const Session& session);
  /// Whether the HELLO acknowledges deliveries that were not made. It is stale: they were those of an earlier
  /// session under the same id.
  bool is_stale(const Session& session, const wire::HelloClient& hello) const;
  /// The client has said HELLO: welcomes it, to its session, or to a new one that its
  /// identity owns. REQUIRES: the session has no connection.
  void join(const Received& event, const wire::HelloClient& hello);
  /// The journal has a session: as if its client had just been lost, it may come back.
  void restore(const SessionRecord& record);

  // ---- lost and back ----

  /// Its connection is gone. A closed connection is a hint: the client has ended, or is about to come back by
  /// another one. What cannot be reached may be alive, and comes back when the network does.
  void lose(Session& session, const std::string& why, Loss loss);
  /// Its network may be down, or its process or machine stand still.
  void fall_silent(Session& session, const std::string& why);
  /// A client that was silent has said something.
  void hear_again(Session& session);
  /// Whether it was to come back, and did not.
  bool is_overdue(const Session& session) const;
  /// After this process stood still: those that are away have their time to come back again.
  void renew_grace();

  // ---- the end ----

  /// The client is gone for good: its tasks are cancelled, but for detached ones.
  void end(Session& session, const std::string& why);
  /// Nothing of the session is left here, and no worker has anything of it that it was told to stop.
  bool is_over(const Session& session) const {
    const bool left = session.state == SessionState::ending || session.state == SessionState::detached;
    return left && session.tasks.empty() && session.detached.empty() &&
           !tables_.adoption.has_zombies(session);
  }
  /// REQUIRES: it is over. Ends its life.
  void remove(Session& session);
  /// Workers have something of this session, and its client did not come.
  void give_up(const Uuid& session);

  /// Asks workers again for results that were refused while it was not known whether they are waited for.
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
