// SPDX-License-Identifier: MIT
// `weft bench`: how fast is this cluster, as a program sees it?
#pragma once

#include <cstdint>
#include <string>

namespace weft::bench {

struct BenchOptions {
  std::uint64_t tasks = 100'000;  // of each row of tasks a second
  int trips = 1000;               // of the row of round trips
  bool json = false;
};

/// Measures, and prints a line for each row as it is known; with `json` one object at the end. Throws as
/// Client.
void run_bench(const std::string& address, const BenchOptions& options);

}  // namespace weft::bench
