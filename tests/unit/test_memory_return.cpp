// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "broker/memory_return.hpp"

namespace weft::broker {

namespace {

using std::chrono::seconds;

/// Checks every second of `span`, with `bytes` moved in each; returns how often memory was returned.
int count(MemoryReturn& memory, Time& now, Duration span, std::size_t bytes) {
  int times = 0;
  for (const Time end = now + span; now < end; now += seconds(1)) {
    memory.moved(bytes);
    times += memory.due(now) ? 1 : 0;
  }
  return times;
}

}  // namespace

TEST_CASE("memory goes back once after a burst, when it is quiet again") {
  MemoryReturn memory;
  Time now{seconds(1000)};
  CHECK(count(memory, now, seconds(60), 100) == 0);  // only heartbeats
  CHECK(!memory.deadline());
  CHECK(count(memory, now, seconds(60), 50 << 20) == 0);
  REQUIRE(memory.deadline());
  CHECK(*memory.deadline() <= now + MemoryReturn::kPeriod);
  CHECK(count(memory, now, seconds(5), 100) == 1);
  CHECK(!memory.deadline());
  CHECK(count(memory, now, seconds(60), 100) == 0);
}

TEST_CASE("burst after burst, it goes back now and then; a trickle adds up to a burst") {
  MemoryReturn memory;
  Time now{seconds(1000)};
  int times = 0;
  for (int i = 0; i < 20; ++i) {
    times += count(memory, now, seconds(1), 50 << 20);
    times += count(memory, now, seconds(5), 100);
  }
  CHECK(times >= 8);
  CHECK(times <= 12);
  CHECK(count(memory, now, seconds(600), 10'000) >= 4);
}

}  // namespace weft::broker
