// SPDX-License-Identifier: MIT
// `weft bench`: measures how fast this cluster is, as a program sees it.
#pragma once

#include <cstdint>
#include <string>

namespace weft::bench {

struct BenchOptions {
  std::uint64_t tasks = 100'000;  // number of no-ops in each row that measures tasks per second
  int trips = 1000;               // number of round trips in the rows that measure their time
  bool json = false;
};

/// Measures, and prints each row as soon as its value is known; with `json`, one object at the end. Throws
/// like Client.
void run_bench(const std::string& address, const BenchOptions& options);

}  // namespace weft::bench
