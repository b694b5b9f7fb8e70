// SPDX-License-Identifier: MIT
// weft_bench_floor: measures the floors and ceilings alone, several times each.
#include "tests/bench/floor.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <vector>

#include "client/cli/bench_clock.hpp"
#include "tests/bench/workload.hpp"

namespace {

using namespace weft::bench;

void print(const std::string& what, const char* unit, const std::vector<double>& values) {
  fmt::print("{:<62} {:>12.1f} {:<8} ({:.1f} to {:.1f})\n", what, median(values), unit, percentile(values, 0),
             percentile(values, 1));
  std::fflush(stdout);
}

void print(const std::string& what, const std::vector<RoundTrip>& trips) {
  std::vector<double> p50;
  std::vector<double> p99;
  for (const RoundTrip& trip : trips) {
    p50.push_back(trip.p50_us);
    p99.push_back(trip.p99_us);
  }
  print(what + ", p50", "us", p50);
  print(what + ", p99", "us", p99);
}

void run(int rounds) {
  const auto several = [&](auto&& measure) {
    std::vector<decltype(measure())> values;
    for (int i = 0; i < rounds; ++i) values.push_back(measure());
    return values;
  };
  print("raw packed pipeline, 2 workers", "tasks/s", several([] { return packed_pipeline(kManyTasks); }));
  print(fmt::format("raw packed pipeline, {} under way, round trip of a second client", kRawUnderWay),
        several([] { return pipeline_round_trip(kTripsUnderLoad, kRawUnderWay); }));
  print("thread pool with futures, 2 threads", "tasks/s", several([] { return thread_pool(kManyTasks, 2); }));
  print("raw libzmq, 4 hops", several([] { return zmq_round_trip(kTrips); }));
  print("socketpair", several([] { return socketpair_round_trip(kTrips); }));
  print(fmt::format("socketpair ring, 4 hops, beside {} busy processes", kBusyProcesses),
        several([] { return ring_round_trip(kTripsUnderLoad, kBusyProcesses); }));
  for (const int slots : kSleepSlots) {
    print(fmt::format("{} sleeps of 10 ms, {} processes with one counter", kSleeps, slots), "s",
          several([&] { return counter_seconds(kSleeps, kSleep, slots); }));
  }
  for (const int threads : {1, 2}) {
    print(fmt::format("inc, {} calls, {} threads", kIncCalls, threads), "s", several([&] {
            return loop_seconds(
                kIncCalls, [] { inc(1); }, threads);
          }));
    print(fmt::format("inc, {} calls, raw packed pipeline, {} workers", kIncCalls, threads), "s",
          several([&] {
            return pipeline_seconds(
                kIncCalls, [] { inc(1); }, threads);
          }));
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 5;
  CLI::App app("What the fabric's figures are compared with.", "weft_bench_floor");
  app.add_option("--rounds", rounds, "whose median is shown")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(rounds);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_bench_floor: {}\n", error.what());
    return 1;
  }
}
