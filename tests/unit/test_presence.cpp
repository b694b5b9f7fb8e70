// SPDX-License-Identifier: MIT
#include "common/wire/presence.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <set>
#include <vector>

namespace weft {

namespace {

using namespace std::chrono_literals;
constexpr std::uint8_t kMinor = 3;
using Need = Presence::Need;
using Stage = Presence::Stage;

constexpr Time kStart{1000s};

/// Joined at kStart with an interval of 1 s and a liveness of 3.
Presence joined() {
  Presence presence({}, 1);
  CHECK(presence.tick(kStart) == Need::connect);
  presence.on_connected(kStart);
  presence.on_welcome(kStart, 1s, 3, kMinor);
  return presence;
}

/// The back-off after each of `count` refused connections in a row.
std::vector<Duration> backoffs(std::uint64_t seed, int count) {
  Presence presence({}, seed);
  std::vector<Duration> waits;
  Time now = kStart;
  for (int i = 0; i < count; ++i) {
    CHECK(presence.tick(now) == Need::connect);
    presence.on_disconnected(now);
    waits.push_back(presence.deadline() - now);
    now = presence.deadline();
  }
  return waits;
}

}  // namespace

TEST_SUITE("presence") {
  TEST_CASE("it begins by connecting, at once") {
    Presence presence({}, 1);
    CHECK(presence.stage() == Stage::backing_off);
    CHECK(presence.deadline() <= kStart);
    CHECK(presence.tick(kStart) == Need::connect);
    CHECK(presence.stage() == Stage::connecting);
    CHECK(presence.tick(kStart) == Need::nothing);
  }

  TEST_CASE("connected, greeted, joined") {
    Presence presence({}, 1);
    presence.tick(kStart);
    presence.on_connected(kStart);
    CHECK(presence.stage() == Stage::greeting);
    CHECK_FALSE(presence.joined());
    presence.on_welcome(kStart, 1s, 3, kMinor);
    CHECK(presence.joined());
    CHECK(presence.failures() == 0);
  }

  TEST_CASE("a handshake that does not come is given up after three seconds") {
    Presence presence({}, 1);
    presence.tick(kStart);
    CHECK(presence.deadline() == kStart + 3s);
    CHECK(presence.tick(kStart + 3s - 1us) == Need::nothing);
    CHECK(presence.tick(kStart + 3s) == Need::close);
    CHECK(presence.stage() == Stage::backing_off);
    CHECK(presence.failures() == 1);
  }

  TEST_CASE("a WELCOME that does not come is given up after three seconds from HELLO") {
    Presence presence({}, 1);
    presence.tick(kStart);
    presence.on_connected(kStart + 2s);
    CHECK(presence.deadline() == kStart + 5s);
    CHECK(presence.tick(kStart + 5s) == Need::close);
    CHECK(presence.stage() == Stage::backing_off);
  }

  TEST_CASE("back-off is 100 ms doubling to 1 s, half of it drawn") {
    const std::vector<Duration> full = {100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s};
    std::set<Duration> first;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const auto waits = backoffs(seed, 7);
      for (std::size_t i = 0; i < waits.size(); ++i) {
        CAPTURE(i);
        CHECK(waits[i] >= full[i] / 2);
        CHECK(waits[i] <= full[i]);
      }
      first.insert(waits[0]);
    }
    CHECK(first.size() > 40);  // a thousand workers do not return in one instant
  }

  TEST_CASE("the same seed draws the same") { CHECK(backoffs(7, 20) == backoffs(7, 20)); }

  TEST_CASE("a WELCOME ends the series of failures") {
    Presence presence({}, 1);
    Time now = kStart;
    for (int i = 0; i < 5; ++i) {
      presence.tick(now);
      presence.on_disconnected(now);
      now = presence.deadline();
    }
    CHECK(presence.failures() == 5);
    presence.tick(now);
    presence.on_connected(now);
    presence.on_welcome(now, 1s, 3, kMinor);
    presence.on_disconnected(now);
    CHECK(presence.failures() == 1);
    CHECK(presence.deadline() - now <= 100ms);
  }

  TEST_CASE("a connection that is made but never welcomed goes on backing off") {
    Presence presence({}, 1);
    Time now = kStart;
    for (int i = 0; i < 6; ++i) {
      presence.tick(now);
      presence.on_connected(now);
      presence.on_disconnected(now);  // refused
      now = presence.deadline();
    }
    CHECK(presence.failures() == 6);
  }

  TEST_CASE("a heartbeat is due when nothing was sent for an interval, and only then") {
    Presence presence = joined();
    CHECK(presence.deadline() == kStart + 1s);
    CHECK(presence.tick(kStart + 999ms) == Need::nothing);
    CHECK(presence.tick(kStart + 1s) == Need::heartbeat);
    CHECK(presence.tick(kStart + 1s) == Need::nothing);
    presence.on_heard(kStart + 1s);
    presence.on_sent(kStart + 1500ms);
    CHECK(presence.tick(kStart + 2s) == Need::nothing);
    CHECK(presence.deadline() == kStart + 2500ms);
    CHECK(presence.tick(kStart + 2500ms) == Need::heartbeat);
  }

  TEST_CASE("silence of interval times liveness closes the link") {
    Presence presence = joined();
    CHECK(presence.tick(kStart + 1s) == Need::heartbeat);
    CHECK(presence.tick(kStart + 2s) == Need::heartbeat);
    CHECK(presence.tick(kStart + 3s - 1us) == Need::nothing);
    CHECK(presence.deadline() == kStart + 3s);
    CHECK(presence.tick(kStart + 3s) == Need::close);
    CHECK_FALSE(presence.joined());
    CHECK(presence.tick(presence.deadline()) == Need::connect);
  }

  TEST_CASE("any message heard gives a full window") {
    Presence presence = joined();
    Time now = kStart;
    for (int i = 0; i < 100; ++i) {
      now += 500ms;
      presence.on_heard(now);
      CHECK(presence.tick(now) != Need::close);
    }
    CHECK(presence.joined());
  }

  TEST_CASE("one who was frozen itself does not blame the other at once") {
    Presence presence = joined();
    CHECK(presence.tick(kStart + 60s) == Need::heartbeat);
    CHECK(presence.joined());
    CHECK(presence.tick(kStart + 61s) == Need::heartbeat);
    CHECK(presence.tick(kStart + 62s) == Need::close);  // a whole window has passed in silence again
  }

  TEST_CASE("an interval and a liveness from the end of the numbers mean a long time, not the past") {
    Presence presence({}, 3);
    CHECK(presence.tick(presence.deadline()) == Need::connect);
    presence.on_connected(kStart);
    presence.on_welcome(kStart, std::chrono::milliseconds(UINT32_MAX), UINT32_MAX, kMinor);
    CHECK(presence.deadline() > kStart + 1s);
    CHECK(presence.tick(kStart + 1s) == Need::nothing);
  }

  TEST_CASE("it always has a deadline, and a tick at the deadline gets on") {
    Presence presence({}, 3);
    Time now = kStart;
    int connects = 0;
    for (int i = 0; i < 200; ++i) {
      now = std::max(now, presence.deadline());
      const Need need = presence.tick(now);
      CHECK(need != Need::nothing);
      if (need == Need::connect && ++connects % 2 == 0) {
        presence.on_connected(now);
        presence.on_welcome(now, 1s, 3, kMinor);
      }
    }
    CHECK(connects > 20);
  }

  TEST_CASE("the version of the broker is that of its last WELCOME") {
    Presence presence({}, 1);
    CHECK(presence.broker_minor() == 0);
    (void)presence.tick(kStart);
    presence.on_connected(kStart);
    presence.on_welcome(kStart, 1s, 3, 5);
    CHECK(presence.broker_minor() == 5);
    presence.on_disconnected(kStart + 1s);
    CHECK(presence.broker_minor() == 5);
    presence.on_welcome(kStart + 2s, 1s, 3, 4);
    CHECK(presence.broker_minor() == 4);
  }
}

}  // namespace weft
