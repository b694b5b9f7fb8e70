// SPDX-License-Identifier: MIT
// Two figures of a running cluster: tasks/s of a no-op map, and the round trip of one task with nothing
// else going on.   weft_bench_noop ADDRESS [TASKS [ROUND_TRIPS]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <ranges>
#include <vector>
#include <weft/weft.hpp>

namespace {

long inc(long x) { return x + 1; }

using Clock = std::chrono::steady_clock;
double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: weft_bench_noop ADDRESS [TASKS [ROUND_TRIPS]]\n");
    return 2;
  }
  const long tasks = argc > 2 ? std::atol(argv[2]) : 100'000;
  const int trips = argc > 3 ? std::atoi(argv[3]) : 2000;
  try {
    weft::Client client(argv[1]);
    client.gather(client.map<inc>(std::views::iota(0L, 1000L)));  // warm: shipped, runners started

    const auto begin = Clock::now();
    const std::vector<long> results = client.gather(client.map<inc>(std::views::iota(0L, tasks)));
    const double us = us_since(begin);
    const long sum = std::accumulate(results.begin(), results.end(), 0L);
    if (sum != tasks * (tasks + 1) / 2) throw std::runtime_error("wrong results");
    std::printf("map and gather of %ld no-ops: %.0f tasks/s (%.3f s)\n", tasks,
                static_cast<double>(tasks) * 1e6 / us, us / 1e6);

    std::vector<double> round_trips;
    for (int i = 0; i < trips; ++i) {
      const auto start = Clock::now();
      client.submit<inc>(1L).wait();
      round_trips.push_back(us_since(start));
    }
    std::sort(round_trips.begin(), round_trips.end());
    const auto at = [&](double part) {
      return round_trips[static_cast<std::size_t>(part * static_cast<double>(round_trips.size() - 1))];
    };
    std::printf("round trip of one task: p50 %.0f us, p99 %.0f us\n", at(0.5), at(0.99));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_bench_noop: %s\n", error.what());
    return 1;
  }
  return 0;
}
