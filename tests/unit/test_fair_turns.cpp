// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "broker/scheduler/state.hpp"

using namespace weft::broker;

namespace {

constexpr double kQuantum = 200;

/// Three clients that have joined and have no waiting tasks.
struct Clients {
  Clients() {
    for (std::size_t i = 0; i < turns.size(); ++i) fair.join(turns[i], sessions[i], i + 1);
  }
  ~Clients() {
    for (Turn& turn : turns) fair.set_waiting(turn, false);
  }
  void wait(std::size_t client) { fair.set_waiting(turns[client], true); }
  /// The number of the client whose turn it is; -1: no client waits.
  int next() {
    const FairTurns::Next found = fair.next();
    return found.turn == nullptr ? -1 : static_cast<int>(found.turn - turns.data());
  }

  FairTurns fair{kQuantum};
  std::array<Session, 3> sessions;
  std::array<Turn, 3> turns;
};

}  // namespace

TEST_SUITE("fair turns") {
  TEST_CASE("nobody's, while nobody waits") {
    Clients clients;
    CHECK(clients.next() == -1);
    CHECK(clients.fair.nobody_waits());
  }

  TEST_CASE("of the client that has used least, and between equals that came first") {
    Clients clients;
    clients.wait(2);
    clients.wait(1);
    CHECK(clients.next() == 1);
    clients.fair.charge(clients.turns[1], 10);
    CHECK(clients.next() == 2);
    clients.fair.charge(clients.turns[2], 20);
    CHECK(clients.next() == 1);
  }

  TEST_CASE("one is served for a quantum more than the next has used; alone, without an end") {
    Clients clients;
    clients.wait(0);
    CHECK(clients.fair.next().until_us == HUGE_VAL);
    clients.wait(1);
    clients.fair.charge(clients.turns[1], 1000);
    CHECK(clients.fair.next().until_us == doctest::Approx(1000 + kQuantum));
  }

  TEST_CASE("what is blocked is passed over, until the next pass") {
    Clients clients;
    clients.wait(0);
    clients.wait(1);
    clients.fair.charge(clients.turns[1], 5);
    clients.fair.begin_pass();
    clients.fair.block(clients.turns[0]);
    CHECK(clients.next() == 1);
    CHECK(clients.fair.next().until_us == HUGE_VAL);  // no other client can be served
    clients.fair.block(clients.turns[1]);
    CHECK(clients.next() == -1);
    clients.fair.begin_pass();
    CHECK(clients.next() == 0);
  }

  TEST_CASE("idle time is not saved up") {
    Clients clients;
    clients.wait(0);
    clients.fair.charge(clients.turns[0], 5000);
    CHECK(clients.next() == 0);  // client 0 is served, from 5000 on
    clients.wait(1);
    CHECK(clients.turns[1].used_us == doctest::Approx(5000));
    Session later;
    Turn turn;
    clients.fair.join(turn, later, 9);
    CHECK(turn.used_us == doctest::Approx(5000));
  }

  TEST_CASE("one that has used more than the clock keeps its debt while it does not wait") {
    Clients clients;
    clients.wait(0);
    clients.wait(1);
    clients.fair.charge(clients.turns[0], 5000);
    clients.fair.set_waiting(clients.turns[0], false);
    clients.fair.charge(clients.turns[0], 100);  // a late result
    clients.wait(0);
    CHECK(clients.turns[0].used_us == doctest::Approx(5100));
    CHECK(clients.next() == 1);
    for (Turn& turn : clients.turns) clients.fair.check_invariants(turn);
  }

  TEST_CASE("whether others wait") {
    Clients clients;
    CHECK_FALSE(clients.fair.others_wait(clients.turns[0]));
    clients.wait(0);
    CHECK_FALSE(clients.fair.others_wait(clients.turns[0]));
    CHECK(clients.fair.others_wait(clients.turns[1]));
  }
}
