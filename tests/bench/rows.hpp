// SPDX-License-Identifier: MIT
// One function for each row of the table of targets. Each measures once, together with its floors, in
// processes of its own, and leaves nothing behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tests/bench/report.hpp"

namespace weft::bench {

struct Run {
  Report& report;
  std::uint64_t tasks = 1'000'000;  // for rows with a million tasks
  bool peers = false;               // measure gearmand and Dask, too
  std::filesystem::path program;    // a client program, of which a fresh copy may be made
};

struct Row {
  int number;
  void (*measure)(Run& run);
};

// rows_throughput.cpp: no-ops per second
void measure_map(Run& run);      // 1, and the broker's share for 13
void measure_submits(Run& run);  // 2
void measure_growth(Run& run);   // 6
// rows_latency.cpp
void measure_round_trip(Run& run);       // 3
void measure_first_start(Run& run);      // 8
void measure_trip_under_load(Run& run);  // 12
// rows_efficiency.cpp: efficiency of the slots
void measure_curve(Run& run);   // 4
void measure_sleeps(Run& run);  // 5
void measure_inc(Run& run);     // 11
// rows_footprint.cpp
void measure_memory(Run& run);     // 7
void measure_starting(Run& run);   // 9
void measure_idle(Run& run);       // 10
void measure_scheduler(Run& run);  // 13

}  // namespace weft::bench
