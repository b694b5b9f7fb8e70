// SPDX-License-Identifier: MIT
// Fair queueing between clients by virtual slot time (stride scheduling, as in Linux's CFS): of the clients
// that wait for slots, the next turn goes to the one that has used the least. Its turn lasts until it has
// used a quantum more than the next client, so that turns do not change with every task.
//
// Slot time is virtual: a client that is new, or that waited for no slots for a while, starts from at least
// the time of the client that was served last. So no client saves up slot time by being idle.
#pragma once

#include <cstdint>
#include <set>
#include <tuple>

namespace weft::broker {

struct Session;

/// The fair queueing state of one client. Stored in its Session; only FairTurns changes it.
struct Turn {
  Session* session = nullptr;
  std::uint64_t serial = 0;      // order of joining: breaks ties
  double used_us = 0;            // virtual slot time
  bool waits = false;            // for slots
  std::uint64_t blocked_in = 0;  // the last pass in which no worker had room for any of its tasks
};

class FairTurns {
 public:
  explicit FairTurns(double quantum_us) : quantum_us_(quantum_us) {}

  /// Adds a new client, which does not wait for slots yet.
  void join(Turn& turn, Session& session, std::uint64_t serial) {
    turn = {.session = &session, .serial = serial, .used_us = clock_us_};
  }
  /// Sets whether the client waits for slots. REQUIRES: set to false before `turn` is destroyed.
  void set_waiting(Turn& turn, bool waits) {
    if (waits != turn.waits) change(turn, waits);
  }
  /// Charges the client for `us` of slot time; negative: it was charged for too much before.
  void charge(Turn& turn, double us);

  /// Begins a scheduling pass, in which no client is blocked yet.
  void begin_pass() { ++pass_; }
  std::uint64_t pass() const { return pass_; }
  /// No worker has room for a task of this client in the rest of the pass.
  void block(Turn& turn) const { turn.blocked_in = pass_; }

  struct Next {
    Turn* turn = nullptr;  // null: all clients that wait are blocked
    double until_us = 0;   // its turn lasts until it has used this much virtual slot time
  };
  /// The client that is served next.
  Next next();

  bool nobody_waits() const { return order_.empty(); }
  bool others_wait(const Turn& turn) const { return order_.size() > (turn.waits ? 1U : 0U); }

  /// Aborts unless `turn` is in order_ exactly if it waits.
  void check_invariants(Turn& turn) const;

 private:
  using Key = std::tuple<double, std::uint64_t, Turn*>;
  static Key key_of(Turn& turn) { return {turn.used_us, turn.serial, &turn}; }
  void change(Turn& turn, bool waits);

  const double quantum_us_;
  std::set<Key> order_;  // the clients that wait
  double clock_us_ = 0;  // virtual time of the client served last, when its turn began
  std::uint64_t pass_ = 1;
};

}  // namespace weft::broker
