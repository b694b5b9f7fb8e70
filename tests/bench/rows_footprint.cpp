// SPDX-License-Identifier: MIT
// Footprint: memory, time to start, use of an idle processor, the broker's share of a task.
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <thread>

#include "client/cli/bench_clock.hpp"
#include "tests/bench/cluster.hpp"
#include "tests/bench/rows.hpp"
#include "tests/bench/scheduler_load.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

using namespace std::chrono_literals;

void measure_memory(Run& run) {
  constexpr double kPayload = 16;
  const Cluster cluster(0);
  const double before = resident_bytes(cluster.broker());
  ClientProgram client("pending", cluster.address(), {std::to_string(run.tasks)});
  const double client_bytes = client.value("client_bytes");
  const double broker_bytes = (resident_bytes(cluster.broker()) - before) / static_cast<double>(run.tasks);
  run.report.add({7, "broker's memory for a queued task of 16 bytes", broker_bytes, "B", "", 0, Want::at_most,
                  200 + kPayload});
  run.report.add({7, "client's memory for a pending future", client_bytes, "B", "", 0, Want::at_most, 300});
}

namespace {

double now_ns() { return static_cast<double>(Clock::now().time_since_epoch().count()); }

double cluster_up_ms() {
  const support::TempDirectory state;
  const std::string script = WEFT_SOURCE_DIR "/scripts/cluster.sh";
  const support::Process::Options options{
      .environment = {{"WEFT_STATE_DIR", state.path() / "state"},
                      {"WEFT_BIN_DIR", std::filesystem::path(support::binary("weft")).parent_path()}},
      .directory = {},
      .output = {}};
  const auto begin = Clock::now();
  support::Process up({script, "up", "--nprocs", "2", "--port", "0"}, options);
  const auto code = up.wait(60s);
  const double ms = us_since(begin) / 1e3;
  const std::string said = up.err();
  support::Process(std::vector<std::string>{script, "down"}, options).wait(60s);
  if (code != 0) throw std::runtime_error("cluster.sh up failed: " + said);
  return ms;
}

/// Runs a program that no worker has seen: a copy of this binary with one more byte at its end.
double first_result_ms(const std::filesystem::path& program) {
  const Cluster cluster(2);
  const support::TempDirectory temp;
  const std::filesystem::path fresh = temp.path() / "fresh";
  std::filesystem::copy_file(program, fresh);
  std::ofstream(fresh, std::ios::app | std::ios::binary) << fmt::format("{}", now_ns());
  const double begin = now_ns();
  ClientProgram client("first_result", cluster.address(), {}, fresh);
  return (client.finish().at("done_ns") - begin) / 1e6;
}

}  // namespace

void measure_starting(Run& run) {
  run.report.add({9, "cluster.sh up until it is ready", cluster_up_ms(), "ms", "", 0, Want::at_most, 1000});
  run.report.add({9, "first result of a freshly built program, from its exec", first_result_ms(run.program),
                  "ms", "", 0, Want::at_most, 150});
  const Cluster cluster(1);
  run.report.add({9, "start of a runner", run_client("runner_start", cluster.address(), {"20"}).at("ms"),
                  "ms", "", 0, Want::at_most, 5});
}

void measure_idle(Run& run) {
  constexpr auto kWatched = 6s;
  const Cluster cluster(2);
  ClientProgram client("idle", cluster.address());
  client.value("idle");
  std::this_thread::sleep_for(1s);  // until the effects of the warm-up are over
  const auto worker = [&] {
    double seconds = cpu_seconds(cluster.worker());
    for (const pid_t pid : support::descendants_of(cluster.worker())) seconds += cpu_seconds(pid);
    return seconds;
  };
  const double broker_before = cpu_seconds(cluster.broker());
  const double worker_before = worker();
  const double client_before = cpu_seconds(client.pid());
  const auto begin = Clock::now();
  std::this_thread::sleep_for(kWatched);
  const auto percent = [&](double before, double after) {
    return (after - before) * 100 / seconds_since(begin);
  };
  const auto add = [&](const char* what, double value) {
    run.report.add({10, what, value, "%", "", 0, Want::at_most, 0.2});
  };
  add("processor time of an idle broker", percent(broker_before, cpu_seconds(cluster.broker())));
  add("processor time of an idle worker and its runners", percent(worker_before, worker()));
  add("processor time of an idle client", percent(client_before, cpu_seconds(client.pid())));
}

void measure_scheduler(Run& run) {
  constexpr std::uint64_t kTasks = 500'000;
  const auto rate = [](const SchedulerLoad::Shape& shape) {
    SchedulerLoad load(shape);
    return static_cast<double>(kTasks) / load.run(kTasks);
  };
  const double few = rate({.workers = 10});
  const double few_singly = rate({.workers = 10, .results_max = 1});
  const double many = rate({.workers = 100'000});  // each of them has one task at a time
  const auto add = [&](const char* what, double value) {
    run.report.add({13, what, value, "steps/s", "", 0, Want::at_least, 5e6});
  };
  add("pure scheduler, 10 workers", few);
  add("pure scheduler, 10 workers, 1,000,000 queued", rate({.workers = 10, .queued = 1'000'000}));
  const auto add_many = [&](const char* beside, double value) {
    run.report.add(
        {13, "pure scheduler, 100,000 workers", many, "steps/s", beside, value, Want::at_least, 1 / 1.5});
  };
  add_many("10 workers", few);
  add_many("10 workers, messages as small", few_singly);
}

}  // namespace weft::bench
