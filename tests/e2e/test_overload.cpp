// SPDX-License-Identifier: MIT
// Backpressure: a client that submits too much waits, and other clients do not notice.
#include <doctest/doctest.h>

#include <fstream>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long squares(long x) { return x * x; }

/// Resident memory of a process, in MiB.
long memory_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    long kib = 0;
    if (word == "VmRSS:" && file >> kib) return kib / 1024;
  }
  return -1;
}

}  // namespace

TEST_CASE("a client that submits without end is held back at the memory budget, and another is served") {
  Cluster cluster({.broker_arguments = {"--memory-budget", "50M"}});
  weft::Client other(cluster.address());
  const long before = memory_of(cluster.broker().pid());
  Process flood({binary("weft_e2e_program"), "flood", cluster.address()});
  // Until backpressure holds: the client's share of the memory budget is used up and no more tasks come.
  long queued = 0;
  CHECK(eventually(
      [&] {
        const long now = cluster.status("queued");
        return now > 10'000 && now == std::exchange(queued, now);
      },
      60s));
  CHECK(flood.running());
  CHECK(memory_of(cluster.broker().pid()) - before < 150);
  auto futures = other.map<squares>(std::vector<long>(1000, 12));
  for (const auto& future : futures) CHECK(future.result_for(10s) == 144);
  // The client has left: the broker must have forgotten all its tasks.
  flood.kill();
  CHECK(eventually([&] { return cluster.status("queued") == 0; }, 30s));
  CHECK(cluster.status("queued_bytes") == 0);
}
