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

/// Tasks a second through client, broker and two workers, a process each, over tcp: 64 bytes of payload each
/// way, 100 tasks a message of the client, a header that is decoded by hand, a compact routing table,
/// whatever has come in one message out, 20,000 under way.
double packed_pipeline(std::uint64_t tasks);

/// Seconds that so many calls of `function` take, a task each, in such a pipeline with so many workers, each
/// of which sends a result before it begins the next task; four under way for each, one in a message.
double pipeline_seconds(int calls, const std::function<void()>& function, int workers);

/// One task of a second client after the other through such a pipeline, while the first has `window` under
/// way.
RoundTrip pipeline_round_trip(int trips, std::uint64_t window);

/// One message of 64 bytes from DEALER to ROUTER to DEALER and back the same way, over tcp, in three
/// processes.
RoundTrip zmq_round_trip(int trips);

// ---- floor_local.cpp ----

/// 64 bytes to another process and back.
RoundTrip socketpair_round_trip(int trips);

/// 64 bytes around a ring of four processes, beside `busy` ones that never sleep.
RoundTrip ring_round_trip(int trips, int busy);

/// Seconds that `tasks` sleeps take in `processes` that share one counter and nothing else.
double counter_seconds(int tasks, std::chrono::microseconds sleep, int processes);

/// Seconds that `calls` calls of `function` take in so many threads.
double loop_seconds(int calls, const std::function<void()>& function, int threads);

/// Tasks a second through a thread pool of this process: a queue under a mutex, a future for each.
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

/// One value from a child to this process, or the other way round.
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
