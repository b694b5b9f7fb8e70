// SPDX-License-Identifier: MIT
// weft bench, which ships its own binary to the workers.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

TEST_CASE("weft bench measures a cluster and says so to programs") {
  const Cluster cluster;
  Process bench({binary("weft"), "bench", cluster.address(), "--tasks", "2000", "--trips", "50", "--json"});
  REQUIRE_MESSAGE(bench.wait(60s) == 0, bench.err());
  const auto rows = nlohmann::json::parse(bench.out(), nullptr, false);
  REQUIRE_FALSE(rows.is_discarded());
  CHECK(rows["slots"] == 2);
  CHECK(rows["map_tasks_per_s"] > 100);
  CHECK(rows["submit_tasks_per_s"] > 100);
  CHECK(rows["round_trip_p50_us"] > 5);
  CHECK(rows["round_trip_p99_us"] >= rows["round_trip_p50_us"]);
  for (const char* length : {"10", "100", "1000", "10000"}) {
    const auto& percent = rows[std::string("efficiency_") + length + "us_percent"];
    CHECK(percent > 0);
    CHECK(percent < 250);  // an idle core may be faster than it was a moment ago
  }
}

TEST_CASE("weft bench prints a line for each row, and says it when nobody has joined") {
  const Cluster cluster;
  Process bench({binary("weft"), "bench", cluster.address(), "--tasks", "1000", "--trips", "20"});
  REQUIRE_MESSAGE(bench.wait(60s) == 0, bench.err());
  CHECK(bench.out().find("1 worker, 2 slots") != std::string::npos);
  CHECK(bench.out().find("map and gather of 1000 no-ops") != std::string::npos);
  CHECK(bench.out().find("tasks of 10000 us use") != std::string::npos);

  const Cluster empty({.workers = 0});
  Process nobody({binary("weft"), "bench", empty.address()});
  CHECK(nobody.wait(20s) == 1);
  CHECK(nobody.err().find("no worker has joined") != std::string::npos);
}
