// SPDX-License-Identifier: MIT
// weft_bench_scheduler: the pure broker::Scheduler alone. A step is the whole life of one task in the
// Scheduler: submitted, assigned, finished, delivered, acknowledged.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>

#include "tests/bench/scheduler_load.hpp"

namespace {

using namespace weft::bench;

void measure(SchedulerLoad::Shape shape, std::uint64_t tasks, int rounds) {
  SchedulerLoad load(shape);
  std::vector<double> rates;
  for (int i = 0; i < rounds; ++i) rates.push_back(static_cast<double>(tasks) / load.run(tasks));
  fmt::print("{:>8} {:>9} {:>9} {:>8.1f} {:>10.2f} {:>6.0f}   ({:.2f} to {:.2f})\n", shape.workers,
             shape.queued, load.in_flight(), load.records_in_results(), median(rates) / 1e6,
             1e9 / median(rates), percentile(rates, 0) / 1e6, percentile(rates, 1) / 1e6);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  SchedulerLoad::Shape shape;
  std::vector<std::size_t> workers{10, 1000, 100'000};
  std::vector<std::size_t> queued{1000, 1'000'000};
  std::uint64_t tasks = 1'000'000;
  int rounds = 5;
  CLI::App app("The pure scheduler: how many tasks a second go through it from submit to acknowledge.",
               "weft_bench_scheduler");
  app.add_option("--workers", workers, "joined, all of them busy")->capture_default_str();
  app.add_option("--queued", queued, "tasks that wait")->capture_default_str();
  app.add_option("--slots", shape.slots, "of each worker")->capture_default_str();
  app.add_option("--run-us", shape.run_us, "of each task; 0: such that all workers do a million a second");
  app.add_option("--submit-records", shape.submit_records, "in one SUBMIT")->capture_default_str();
  app.add_option("--results-max", shape.results_max, "in one RESULTS")->capture_default_str();
  app.add_option("--payload", shape.payload_bytes, "bytes of each argument")->capture_default_str();
  app.add_option("--tasks", tasks, "in one round")->capture_default_str();
  app.add_option("--rounds", rounds, "whose median is shown")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    fmt::print("{:>8} {:>9} {:>9} {:>8} {:>10} {:>6}   of {} rounds of {} tasks\n", "workers", "queued",
               "in flight", "RESULTS", "M steps/s", "ns", rounds, tasks);
    for (const std::size_t w : workers) {
      for (const std::size_t q : queued) {
        shape.workers = w;
        shape.queued = q;
        measure(shape, tasks, rounds);
      }
    }
    constexpr std::size_t kQueued = 1'000'000;
    fmt::print("a queued task with an argument of {} bytes: {:.0f} bytes\n", shape.payload_bytes,
               bytes_per_queued_task(kQueued, shape.payload_bytes));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_bench_scheduler: {}\n", error.what());
    return 1;
  }
}
