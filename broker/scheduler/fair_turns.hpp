// SPDX-License-Identifier: MIT
// FairTurns: fair queueing among clients, by stride scheduling. Of the clients that wait for slots, the one
// that has used the least slot time is next. It is served for a quantum beyond that, so that turns do not
// change with every task.
//
// Slot time is virtual: a client that joins, or that starts to wait again, begins with at least the slot time
// of the client that was served last. So a client cannot save up slot time by being idle.
#pragma once

#include <cstdint>
#include <set>
#include <tuple>

namespace weft::broker {

struct Session;

/// The state of one client. A member of its Session; only FairTurns changes it.
struct Turn {
  Session* session = nullptr;
  std::uint64_t serial = 0;      // order of joining: breaks ties
  double used_us = 0;            // virtual slot time
  bool waits = false;            // for slots
  std::uint64_t blocked_in = 0;  // the pass in which none of its tasks found a slot
};

class FairTurns {
 public:
  explicit FairTurns(double quantum_us) : quantum_us_(quantum_us) {}

  /// A new client, which does not wait for slots yet.
  void join(Turn& turn, Session& session, std::uint64_t serial) {
    turn = {.session = &session, .serial = serial, .used_us = clock_us_};
  }
  /// The client waits for slots from now on, or no longer. REQUIRES: a client that waits is not destroyed.
  void set_waiting(Turn& turn, bool waits) {
    if (waits != turn.waits) change(turn, waits);
  }
  /// The client has used `us` of slot time; negative: it was charged too much before.
  void charge(Turn& turn, double us);

  /// A pass begins: no client is blocked.
  void begin_pass() { ++pass_; }
  std::uint64_t pass() const { return pass_; }
  /// None of its tasks can get a slot in the rest of this pass.
  void block(Turn& turn) const { turn.blocked_in = pass_; }

  struct Next {
    Turn* turn = nullptr;  // nullptr: no client waits, or all that wait are blocked
    double until_us = 0;   // the client is served until its used_us reaches this
  };
  /// The client that is served next.
  Next next();

  bool nobody_waits() const { return order_.empty(); }
  bool others_wait(const Turn& turn) const { return order_.size() > (turn.waits ? 1U : 0U); }

  /// Aborts unless `order_` has `turn` exactly if it waits.
  void check_invariants(Turn& turn) const;

 private:
  using Key = std::tuple<double, std::uint64_t, Turn*>;
  static Key key_of(Turn& turn) { return {turn.used_us, turn.serial, &turn}; }
  void change(Turn& turn, bool waits);

  const double quantum_us_;
  std::set<Key> order_;  // clients that wait, the next one first
  double clock_us_ = 0;  // virtual time: used_us of the client served last, when its turn began
  std::uint64_t pass_ = 1;
};

}  // namespace weft::broker
