// SPDX-License-Identifier: MIT
// A no-op worker for gearmand and its client, through libgearman.
//   weft_bench_gearman worker PORT | throughput PORT TASKS | trips PORT TRIPS
#include <libgearman/gearman.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "client/cli/bench_clock.hpp"

namespace {

using namespace weft::bench;

constexpr const char* kFunction = "noop";
constexpr int kUnderWay = 1000;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "weft_bench_gearman: %s\n", what);
  std::exit(1);
}

gearman_return_t answer(gearman_job_st* job, void*) {
  gearman_job_send_complete(job, gearman_job_workload(job), gearman_job_workload_size(job));
  return GEARMAN_SUCCESS;
}

void work(in_port_t port) {
  gearman_worker_st* worker = gearman_worker_create(nullptr);
  gearman_worker_add_server(worker, "127.0.0.1", port);
  gearman_worker_define_function(worker, kFunction, 4, gearman_function_create(answer), 0, nullptr);
  while (gearman_success(gearman_worker_work(worker))) {
  }
}

gearman_client_st* connected(in_port_t port) {
  gearman_client_st* client = gearman_client_create(nullptr);
  if (client == nullptr || gearman_failed(gearman_client_add_server(client, "127.0.0.1", port)))
    fail("no client");
  gearman_client_add_options(client, GEARMAN_CLIENT_FREE_TASKS);
  return client;
}

void trip(gearman_client_st* client) {
  std::size_t size = 0;
  gearman_return_t result = GEARMAN_SUCCESS;
  void* value = gearman_client_do(client, kFunction, nullptr, "12345678", 8, &size, &result);
  if (result != GEARMAN_SUCCESS || size != 8) fail("a task failed");
  std::free(value);
}

int completed = 0;

gearman_return_t count(gearman_task_st*) {
  ++completed;
  return GEARMAN_SUCCESS;
}

void throughput(gearman_client_st* client, int tasks) {
  for (int i = 0; i < 100; ++i) trip(client);
  gearman_client_set_complete_fn(client, count);
  const auto begin = Clock::now();
  for (int done = 0; done < tasks; done += kUnderWay) {
    for (int i = 0; i < kUnderWay; ++i) {
      gearman_return_t result = GEARMAN_SUCCESS;
      gearman_client_add_task(client, nullptr, nullptr, kFunction, nullptr, "12345678", 8, &result);
      if (result != GEARMAN_SUCCESS) fail("a task cannot be added");
    }
    if (gearman_failed(gearman_client_run_tasks(client))) fail("tasks failed");
  }
  const double seconds = seconds_since(begin);
  if (completed < tasks) fail("results are missing");
  std::printf("rate %f\n", completed / seconds);
}

void trips(gearman_client_st* client, int count_of_trips) {
  std::vector<double> times_us;
  for (int i = -count_of_trips / 10; i < count_of_trips; ++i) {
    const auto begin = Clock::now();
    trip(client);
    if (i >= 0) times_us.push_back(us_since(begin));
  }
  const RoundTrip result = round_trip_of(times_us);
  std::printf("p50 %f\np99 %f\n", result.p50_us, result.p99_us);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) fail("usage: worker PORT | throughput PORT TASKS | trips PORT TRIPS");
  const std::string mode = argv[1];
  const auto port = static_cast<in_port_t>(std::atoi(argv[2]));
  if (mode == "worker") {
    work(port);
    return 0;
  }
  if (argc != 4) fail("how many?");
  gearman_client_st* client = connected(port);
  if (mode == "throughput") {
    throughput(client, std::atoi(argv[3]));
  } else {
    trips(client, std::atoi(argv[3]));
  }
  gearman_client_free(client);
  return 0;
}
