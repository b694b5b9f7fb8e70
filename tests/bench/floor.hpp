// SPDX-License-Identifier: MIT
// Reference figures (floors) for those of Weft: the same work done by minimal code, on the same machine in
// the same run, without futures, acknowledgements, retries or heartbeats.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "client/cli/bench_clock.hpp"

namespace weft::bench {

// ---- floor_zmq.cpp ----

/// Tasks per second through client, broker and two workers, one process each, over TCP: 64 bytes of payload
/// each way, 100 tasks per message of the client, a header decoded by hand, a compact routing table, all
/// arrived records coalesced into one message out, 20,000 tasks under way.
double packed_pipeline(std::uint64_t tasks);

/// Seconds for `calls` calls of `function`, one task each, in such a pipeline with this many workers. Each
/// worker sends a result before it begins the next task; four tasks per worker are under way, one per
/// message.
double pipeline_seconds(int calls, const std::function<void()>& function, int workers);

/// Round trips of one task at a time of a second client through such a pipeline, while the first client has
/// `window` tasks under way.
RoundTrip pipeline_round_trip(int trips, std::uint64_t window);

/// Round trips of one message of 64 bytes from DEALER to ROUTER to DEALER and back the same way, over TCP, in
/// three processes.
RoundTrip zmq_round_trip(int trips);

// ---- floor_local.cpp ----

/// Round trips of 64 bytes to another process and back.
RoundTrip socketpair_round_trip(int trips);

/// Round trips of 64 bytes around a ring of four processes, while `busy` other processes never sleep.
RoundTrip ring_round_trip(int trips, int busy);

/// Seconds for `tasks` sleeps in `processes` processes that share only a counter.
double counter_seconds(int tasks, std::chrono::microseconds sleep, int processes);

/// Seconds for `calls` calls of `function` in this many threads.
double loop_seconds(int calls, const std::function<void()>& function, int threads);

/// Tasks per second through a thread pool of this process: a queue under a mutex, a future for each task.
double thread_pool(std::uint64_t tasks, int threads);

// ---- floor_process.cpp ----

/// A child process that runs only `work`. It dies with this process; the destructor kills and reaps it.
class Child {
 public:
  explicit Child(const std::function<void()>& work);
  ~Child();
  Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Child& operator=(Child&&) = delete;
  /// Waits for the child's end; throws if it did not succeed.
  void join();

 private:
  int pid_ = -1;
};

/// Carries one value from a child to this process, or the other way.
class Pipe {
 public:
  Pipe();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  template <class T>
  void write(const T& value) const {
    put(&value, sizeof value);
  }
  template <class T>
  T read() const {
    T value;
    get(&value, sizeof value);
    return value;
  }

 private:
  void put(const void* bytes, std::size_t size) const;
  void get(void* bytes, std::size_t size) const;
  int fds_[2];
};

}  // namespace weft::bench
