// SPDX-License-Identifier: MIT
// SchedulerLoad: a broker::Scheduler with one client and any number of workers that exist only as messages,
// in a steady state: a fixed number of tasks queued, every worker full, as many tasks submitted as finish.
// Only the time in Scheduler::step is measured; the messages are made outside it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "broker/scheduler/scheduler.hpp"
#include "client/cli/bench_clock.hpp"

namespace weft::bench {

class SchedulerLoad {
 public:
  struct Shape {
    std::size_t workers = 10;
    std::uint32_t slots = 1;
    std::uint64_t run_us = 0;  // run time of a task; 0: so that all workers do a million tasks a second
    std::size_t queued = 1000;
    std::size_t submit_records = 250;  // in one SUBMIT
    std::size_t results_max = 64;      // in one RESULTS, at most
    std::size_t payload_bytes = 16;
  };

  /// Lets all workers join, fill up, and answer once.
  explicit SchedulerLoad(Shape shape);

  /// Runs until `tasks` more tasks are finished and as many submitted. Returns the seconds in
  /// Scheduler::step.
  double run(std::uint64_t tasks);

  std::size_t in_flight() const { return in_flight_; }
  double records_in_results() const { return static_cast<double>(finished_) / static_cast<double>(results_); }

 private:
  struct Had {
    std::uint64_t seq;
    std::uint64_t number;
  };
  struct Worker {
    std::deque<Had> tasks;
    std::uint64_t outbox = 0;
    bool waits = false;  // is in turn_
  };

  void say(broker::PeerId peer, wire::Message message) {
    events_.push_back(broker::Received{peer, std::move(message)});
  }
  void join_workers();
  void submit(std::size_t tasks);
  std::size_t finish(Worker& worker, broker::PeerId peer);
  void turn();
  void step_all();
  void look_at(const broker::Send& send);

  Shape shape_;
  Time now_{std::chrono::seconds(1000)};
  broker::Scheduler scheduler_;
  std::vector<Worker> workers_;
  std::deque<std::size_t> turn_;  // workers with tasks; the first one answers next
  std::vector<broker::Event> events_;
  broker::Actions actions_;
  Clock::duration spent_{};
  std::uint64_t submitted_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t results_ = 0;
  std::uint64_t delivered_ = 0;
  std::size_t in_flight_ = 0;
};

/// Bytes that a Scheduler stores for each queued task, by malloc's own statistics.
double bytes_per_queued_task(std::size_t tasks, std::size_t payload_bytes);

}  // namespace weft::bench
