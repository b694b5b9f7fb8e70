// SPDX-License-Identifier: MIT
#include "client/cli/bench_command.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/cli/bench.hpp"

namespace weft::bench {

namespace {

using namespace std::chrono_literals;

constexpr auto kIdeal = 500ms;  // work of every slot in a row on efficiency

class Table {
 public:
  explicit Table(bool json) : json_(json) {}
  /// `key` is the name of the row in JSON.
  void row(const std::string& key, const std::string& what, double value, const std::string& unit) {
    values_[key] = value;
    if (json_) return;
    fmt::print("{:<52} {:>14} {}\n", what, fmt::format("{:.{}f}", value, value < 10 ? 2 : 0), unit);
    std::fflush(stdout);
  }
  void end(const ClusterInfo& info, const std::string& address) {
    if (!json_) return;
    values_["address"] = address;
    values_["version"] = info.version;
    values_["workers"] = info.workers.size();
    values_["slots"] = info.slots;
    fmt::print("{}\n", values_.dump(2));
  }

 private:
  bool json_;
  nlohmann::json values_ = nlohmann::json::object();
};

}  // namespace

void run_bench(const std::string& address, const BenchOptions& options) {
  Client client(ClientOptions{.address = address, .name = "weft bench"});
  const ClusterInfo info = client.cluster();
  if (!options.json) {
    fmt::print("{}: {} {}, {} {}, version {}\n", address, info.workers.size(),
               info.workers.size() == 1 ? "worker" : "workers", info.slots,
               info.slots == 1 ? "slot" : "slots", info.version);
    if (info.tasks_queued + info.tasks_assigned > 0)
      fmt::print("the cluster is busy: other tasks share it with this benchmark\n");
    std::fflush(stdout);
  }
  warm_up(client);
  Table table(options.json);
  table.row("map_tasks_per_s", fmt::format("map and gather of {} no-ops", options.tasks),
            map_and_gather(client, options.tasks), "tasks/s");
  table.row("submit_tasks_per_s", fmt::format("{} single submits, gathered", options.tasks),
            submit_and_gather(client, options.tasks, 1), "tasks/s");
  const RoundTrip trip = round_trip(client, options.trips);
  table.row("round_trip_p50_us", "round trip of one no-op, median", trip.p50_us, "us");
  table.row("round_trip_p99_us", "round trip of one no-op, 99 % are faster than", trip.p99_us, "us");
  static constexpr std::array<std::chrono::microseconds, 4> kLengths{10us, 100us, 1ms, 10ms};
  for (const auto length : kLengths) {
    const Efficiency point = efficiency(client, length, kIdeal);
    table.row(fmt::format("efficiency_{}us_percent", length.count()),
              fmt::format("slots' time that tasks of {} us use", length.count()), point.part * 100, "%");
  }
  table.end(info, address);
}

}  // namespace weft::bench
