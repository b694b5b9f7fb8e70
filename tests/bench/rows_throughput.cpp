// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "tests/bench/cluster.hpp"
#include "tests/bench/floor.hpp"
#include "tests/bench/peers.hpp"
#include "tests/bench/rows.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

using namespace std::chrono_literals;

void measure_map(Run& run) {
  const std::string tasks = std::to_string(run.tasks);
  const std::string what = fmt::format("{} no-ops, map and gather, 2 slots", run.tasks);
  const double raw = packed_pipeline(kManyTasks);
  double rate = 0;
  double broker_us = 0;
  {
    const Cluster cluster(2);
    const Values values =
        run_client("throughput", cluster.address(), {tasks, std::to_string(cluster.broker())});
    rate = values.at("map");
    broker_us = values.at("broker_us");
  }
  const auto beside = [&](const std::string& name, double reference, Want want, double target) {
    run.report.add({1, what, rate, "tasks/s", name, reference, want, target});
  };
  beside("raw packed pipeline", raw, Want::at_least, 0.4);
  beside("thread pool with futures, 2 threads", thread_pool(kManyTasks, 2), Want::at_least, 0.3);
  if (run.peers) {
    beside("gearmand, 2 workers", gearman_throughput(), Want::at_least, 40);
    beside("Dask, 2 workers", dask_throughput(), Want::at_least, 1000);
  }
  run.report.add(
      {13, "broker's processor time for a no-op at saturation", broker_us, "us", "", 0, Want::at_most, 0.6});
}

void measure_submits(Run& run) {
  const Cluster cluster(2);
  const Values values = run_client("submits", cluster.address(), {std::to_string(run.tasks)});
  const double map = values.at("map");
  const auto beside_map = [&](const std::string& what, const std::string& name, double target) {
    run.report.add({2, what, values.at(name), "tasks/s", "map and gather", map, Want::at_least, target});
  };
  beside_map(fmt::format("{} single submits, 1 thread", run.tasks), "submit_1", 0.6);
  beside_map(fmt::format("{} single submits, 4 threads", run.tasks), "submit_4", 0.6);
  beside_map(fmt::format("{} results one by one", run.tasks), "take", 0.9);
}

namespace {

/// `outstanding` tasks are outstanding all the time; the two slots join when all are queued.
double rate_with_queue(std::uint64_t outstanding, std::uint64_t tasks) {
  Cluster cluster(0);
  ClientProgram client("queue", cluster.address(), {std::to_string(outstanding), std::to_string(tasks)});
  client.value("queued");
  cluster.add_worker("worker", 2);
  return client.finish().at("rate");
}

double rate_among_workers(int others, std::uint64_t tasks) {
  const Cluster cluster(2);
  std::unique_ptr<support::Process> idle;
  if (others > 0) {
    idle = std::make_unique<support::Process>(std::vector<std::string>{
        support::binary("weft_many_workers"), cluster.address(), std::to_string(others)});
    cluster.wait_for_slots(2 + others);
  }
  return run_client("throughput_there", cluster.address(), {std::to_string(tasks)}).at("rate");
}

}  // namespace

void measure_growth(Run& run) {
  const double few = rate_with_queue(1000, run.tasks / 2);
  const double many = rate_with_queue(run.tasks, run.tasks / 2);
  run.report.add({6, fmt::format("{} tasks outstanding", run.tasks), many, "tasks/s", "1,000 outstanding",
                  few, Want::at_least, 0.9});
  const double alone = rate_among_workers(0, run.tasks / 5);
  const double among = rate_among_workers(998, run.tasks / 5);
  run.report.add(
      {6, "998 idle workers joined beside", among, "tasks/s", "none beside", alone, Want::at_least, 0.8});
}

}  // namespace weft::bench
