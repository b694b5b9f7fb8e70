// SPDX-License-Identifier: MIT
#include "broker/scheduler/worker_health.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

struct Stage : Parts {
  WorkerHealth& health = tables.health;
  Worker& bad = add_worker(1);
  Worker& good = add_worker(2);

  void fail(Worker& worker, int times) {
    for (int i = 0; i < times; ++i) health.note_failure(worker);
  }
  void succeed(Worker& worker, int times) {
    for (int i = 0; i < times; ++i) WorkerHealth::note_success(worker);
  }
};

}  // namespace

TEST_SUITE("worker health") {
  TEST_CASE("a worker is bad when most attempts fail there and few elsewhere") {
    Stage s;
    s.succeed(s.good, 9);
    s.fail(s.good, 1);
    s.fail(s.bad, kBadMin - 1);
    CHECK(s.health.find_bad().empty());  // too few for a verdict
    s.fail(s.bad, 1);
    const auto found = s.health.find_bad();
    REQUIRE(found.size() == 1);
    CHECK(found[0].worker == &s.bad);
    CHECK(found[0].failed_elsewhere == doctest::Approx(0.1));
  }

  TEST_CASE("no worker is bad when everything fails everywhere, or nothing is known of other workers") {
    Stage s;
    s.fail(s.bad, 20);
    CHECK(s.health.find_bad().empty());
    s.fail(s.good, 20);
    CHECK(s.health.find_bad().empty());
  }

  TEST_CASE("it is avoided for longer each time, and one more failure is enough") {
    Stage s;
    s.succeed(s.good, 64);
    s.fail(s.bad, kBadMin);
    s.health.avoid(s.health.find_bad().at(0));
    CHECK(s.bad.avoided);
    CHECK(s.health.find_bad().empty());
    CHECK(s.health.why_avoided(s.bad).find("10 of its last 10") == 0);
    s.advance(s.settings.avoid - Duration(1));
    CHECK_FALSE(s.health.end_avoidance(s.bad));
    s.advance(Duration(1));
    CHECK(s.health.end_avoidance(s.bad));
    CHECK(s.health.find_bad().empty());
    s.fail(s.bad, 1);
    s.health.avoid(s.health.find_bad().at(0));
    s.advance(2 * s.settings.avoid - Duration(1));
    CHECK_FALSE(s.health.end_avoidance(s.bad));
    s.advance(Duration(1));
    CHECK(s.health.end_avoidance(s.bad));
  }

  TEST_CASE("a worker on which all attempts succeed for a while begins from the start") {
    Stage s;
    s.succeed(s.good, 64);
    s.fail(s.bad, kBadMin);
    s.health.avoid(s.health.find_bad().at(0));
    s.advance(s.settings.avoid);
    REQUIRE(s.health.end_avoidance(s.bad));
    s.succeed(s.bad, 64);
    s.fail(s.good, 60);
    CHECK(s.health.find_bad().size() == 1);
    CHECK(s.bad.avoided_for == Duration(0));
  }
}
