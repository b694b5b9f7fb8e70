// SPDX-License-Identifier: MIT
// Whose turn it is: of the clients that wait for slots, the one that has used the least slot time. Each is
// served for a quantum longer than that, so that turns do not change with every task.
//
// Slot time is virtual: a client that comes, or that has waited for nothing for a while, begins with what the
// one that was served last has used. So nobody saves time up by being idle.
#pragma once

#include <cstdint>
#include <set>
#include <tuple>

namespace weft::broker {

struct Session;

/// What is known of one client. Lives in its Session; only FairTurns changes it.
struct Turn {
  Session* session = nullptr;
  std::uint64_t serial = 0;      // order of joining: decides between equals
  double used_us = 0;            // virtual slot time
  bool waits = false;            // for slots
  std::uint64_t blocked_in = 0;  // the pass in which no room was found for any task of it
};

class FairTurns {
 public:
  explicit FairTurns(double quantum_us) : quantum_us_(quantum_us) {}

  /// A new client, which waits for nothing.
  void join(Turn& turn, Session& session, std::uint64_t serial) {
    turn = {.session = &session, .serial = serial, .used_us = clock_us_};
  }
  /// From now on it waits for slots, or does not. One that waits must not go.
  void set_waiting(Turn& turn, bool waits) {
    if (waits != turn.waits) change(turn, waits);
  }
  /// It has used so much slot time; less than 0: so much less than it was charged for before.
  void charge(Turn& turn, double us);

  /// A pass begins: nobody is known to be blocked.
  void begin_pass() { ++pass_; }
  std::uint64_t pass() const { return pass_; }
  /// No task of it finds room in this pass any more.
  void block(Turn& turn) const { turn.blocked_in = pass_; }

  struct Next {
    Turn* turn = nullptr;  // null: nobody waits but those that are blocked
    double until_us = 0;   // it is served until it has used so much
  };
  Next next();

  bool nobody_waits() const { return order_.empty(); }
  bool others_wait(const Turn& turn) const { return order_.size() > (turn.waits ? 1U : 0U); }

  /// Aborts unless `turn` is filed as it says.
  void check_invariants(Turn& turn) const;

 private:
  using Key = std::tuple<double, std::uint64_t, Turn*>;
  static Key key_of(Turn& turn) { return {turn.used_us, turn.serial, &turn}; }
  void change(Turn& turn, bool waits);

  const double quantum_us_;
  std::set<Key> order_;  // those that wait
  double clock_us_ = 0;  // what the one that was served last had used when its turn began
  std::uint64_t pass_ = 1;
};

}  // namespace weft::broker
