// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "tests/bench/cluster.hpp"
#include "tests/bench/floor.hpp"
#include "tests/bench/rows.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

void measure_curve(Run& run) {
  const Cluster cluster(2);
  std::map<double, double> curve;
  for (const auto& [length, part] : run_client("curve", cluster.address())) curve[std::stod(length)] = part;
  run.report.add_curve(curve);
  run.report.add({4, "smallest task with 50 % efficiency on 2 slots", length_at(curve, 0.5), "us", "", 0,
                  Want::at_most, 10});
}

void measure_sleeps(Run& run) {
  for (const int slots : kSleepSlots) {
    const double free_s = counter_seconds(kSleeps, kSleep, slots);
    const Cluster cluster(slots);
    const double seconds = run_client("sleeps", cluster.address(), {std::to_string(slots)}).at("seconds");
    run.report.add({5, fmt::format("1,000 sleeps of 10 ms, {} slots", slots), kSleeps / seconds, "tasks/s",
                    "processes that share a counter", kSleeps / free_s, Want::at_least, 0.97});
  }
}

void measure_inc(Run& run) {
  const auto bare = [](int threads) {
    return loop_seconds(
        kIncCalls, [] { inc(1); }, threads);
  };
  const auto fabric = [](int slots) {
    const Cluster cluster(slots);
    return run_client("inc", cluster.address()).at("seconds");
  };
  const double bare_1 = bare(1);
  const double bare_2 = bare(2);
  const double fabric_1 = fabric(1);
  const double fabric_2 = fabric(2);
  run.report.add({11, "the article's inc, 200 calls: speed-up of 2 slots over 1", fabric_1 / fabric_2, "x",
                  "the bare loop in 2 threads and 1", bare_1 / bare_2, Want::at_least, 0.97});
  run.report.add(
      {11, "the article's inc, 200 calls on 2 slots", fabric_2, "s", "the bare loop in 2 threads", bare_2});
}

}  // namespace weft::bench
