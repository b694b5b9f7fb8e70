// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "client/cli/bench_clock.hpp"
#include "tests/bench/cluster.hpp"
#include "tests/bench/floor.hpp"
#include "tests/bench/peers.hpp"
#include "tests/bench/rows.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

using namespace std::chrono_literals;

void measure_round_trip(Run& run) {
  const RoundTrip raw = zmq_round_trip(kTrips);
  const RoundTrip pair = socketpair_round_trip(kTrips);
  Values trip;
  {
    const Cluster cluster(2);
    trip = run_client("trips", cluster.address(), {std::to_string(kTrips)});
  }
  const std::string name = "raw libzmq, 4 hops, and a socketpair";
  run.report.add({3, "round trip of one task, p50", trip.at("p50"), "us", name, raw.p50_us + pair.p50_us,
                  Want::at_most, 1.3});
  run.report.add({3, "round trip of one task, p99", trip.at("p99"), "us", name, raw.p99_us + pair.p99_us,
                  Want::at_most, 1.5});
  if (!run.peers) return;
  const RoundTrip gearman = gearman_round_trip();
  run.report.add(
      {3, "round trip of one task, p50", trip.at("p50"), "us", "gearmand", gearman.p50_us, Want::at_most, 1});
  run.report.add(
      {3, "round trip of one task, p99", trip.at("p99"), "us", "gearmand", gearman.p99_us, Want::at_most, 1});
}

void measure_first_start(Run& run) {
  {
    const Cluster cluster(2);
    const Values values = run_client("first_start", cluster.address(), {std::to_string(run.tasks)});
    run.report.add({8, fmt::format("map of {}, from the call to the first start", run.tasks), values.at("ms"),
                    "ms", "", 0, Want::at_most, 20});
  }
  Cluster cluster(1);
  ClientProgram client("late_worker", cluster.address(), {std::to_string(run.tasks), "late"});
  client.value("queued");
  const auto exec = Clock::now();
  cluster.add_worker("late", 1, {"--verbose"});
  const auto started =
      Clock::time_point(std::chrono::nanoseconds(static_cast<long>(client.value("started_ns"))));
  const auto ms_from = [&](Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(started - begin).count();
  };
  run.report.add({8, "a new worker behind a long queue, from its HELLO to its first start",
                  ms_from(cluster.hello_of_newest()), "ms", "", 0, Want::at_most, 50});
  run.report.add(
      {8, "a new worker behind a long queue, from its exec to its first start", ms_from(exec), "ms"});
}

void measure_trip_under_load(Run& run) {
  const RoundTrip ring = ring_round_trip(kTripsUnderLoad, kBusyProcesses);
  const RoundTrip raw = pipeline_round_trip(kTripsUnderLoad, kRawUnderWay);
  Cluster cluster(0);
  ClientProgram load("load", cluster.address(), {std::to_string(run.tasks)});
  load.value("queued");
  cluster.add_worker("worker", 2);
  cluster.wait_for_slots(2);
  const Values trip = run_client("trips", cluster.address(), {std::to_string(kTripsUnderLoad)});
  const std::string p50 = fmt::format("round trip beside {} queued no-ops, p50", run.tasks);
  const std::string p99 = fmt::format("round trip beside {} queued no-ops, p99", run.tasks);
  const std::string ring_name = "socketpair ring, 4 hops, beside 5 busy processes";
  const std::string raw_name = fmt::format("raw packed pipeline, {} under way", kRawUnderWay);
  run.report.add({12, p50, trip.at("p50"), "us", ring_name, ring.p50_us});
  run.report.add({12, p99, trip.at("p99"), "us", ring_name, ring.p99_us, Want::at_most, 1.5});
  run.report.add({12, p50, trip.at("p50"), "us", raw_name, raw.p50_us});
  run.report.add({12, p99, trip.at("p99"), "us", raw_name, raw.p99_us});
}

}  // namespace weft::bench
