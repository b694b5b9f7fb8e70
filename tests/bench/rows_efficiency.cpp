// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <thread>

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

constexpr int kManySlots = 60;  // from this many on, the processes cost more than their sleeps

void measure_sleeps(Run& run) {
  for (const int slots : kSleepSlots) {
    const double free_s = counter_seconds(kSleeps, kSleep, slots);
    const auto fabric = [&] {
      const Cluster cluster(slots);
      return run_client("sleeps", cluster.address(), {std::to_string(slots)}).at("seconds");
    };
    const double seconds = fabric();
    const std::string name = fmt::format("1,000 sleeps of 10 ms, {} slots", slots);
    run.report.add({5, name, kSleeps / seconds, "tasks/s", "processes that share a counter", kSleeps / free_s,
                    Want::at_least, 0.97});
    if (slots < kManySlots) continue;
    const double raw_s = pipeline_seconds(
        kSleeps, [] { std::this_thread::sleep_for(kSleep); }, slots);
    run.report.add({5, name, kSleeps / seconds, "tasks/s", "raw packed pipeline", kSleeps / raw_s});
  }
}

void measure_inc(Run& run) {
  const auto call = [] { inc(1); };
  const auto bare = [&](int threads) { return loop_seconds(kIncCalls, call, threads); };
  const auto raw = [&](int workers) { return pipeline_seconds(kIncCalls, call, workers); };
  const auto fabric = [](int slots) {
    const Cluster cluster(slots);
    return run_client("inc", cluster.address()).at("seconds");
  };
  const double bare_1 = bare(1);
  const double bare_2 = bare(2);
  const double fabric_1 = fabric(1);
  const double fabric_2 = fabric(2);
  const double raw_1 = raw(1);
  const double raw_2 = raw(2);
  const std::string name = "the article's inc, 200 calls: speed-up of 2 slots over 1";
  run.report.add({11, name, fabric_1 / fabric_2, "x", "the bare loop in 2 threads and 1", bare_1 / bare_2,
                  Want::at_least, 0.97});
  run.report.add({11, name, fabric_1 / fabric_2, "x", "raw packed pipeline", raw_1 / raw_2});
  run.report.add(
      {11, "the article's inc, 200 calls on 2 slots", fabric_2, "s", "the bare loop in 2 threads", bare_2});
}

}  // namespace weft::bench
