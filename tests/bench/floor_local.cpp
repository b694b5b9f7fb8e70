// SPDX-License-Identifier: MIT
// The costs of the kernel alone: processes, socketpairs, threads.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "client/cli/bench_clock.hpp"
#include "tests/bench/floor.hpp"

namespace weft::bench {

namespace {

constexpr std::size_t kRecordBytes = 64;
using Record = std::array<char, kRecordBytes>;

class SocketPair {
 public:
  SocketPair() {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_) != 0)
      throw std::runtime_error("cannot make a socketpair");
  }
  ~SocketPair() {
    close(fds_[0]);
    close(fds_[1]);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  int near() const { return fds_[0]; }
  int far() const { return fds_[1]; }

 private:
  int fds_[2];
};

void put(int fd, const Record& record) {
  if (write(fd, record.data(), record.size()) != static_cast<ssize_t>(record.size()))
    throw std::runtime_error("a socketpair broke");
}

void get(int fd, Record& record) {
  if (read(fd, record.data(), record.size()) != static_cast<ssize_t>(record.size()))
    throw std::runtime_error("a socketpair broke");
}

[[noreturn]] void pass_on(int from, int to) {
  Record record;
  for (;;) {
    get(from, record);
    put(to, record);
  }
}

/// Times round trips: a write to descriptor `to`, then a read from `from`.
RoundTrip time_trips(int to, int from, int trips) {
  Record record{};
  std::vector<double> times;
  for (int i = -trips / 10; i < trips; ++i) {
    const auto begin = Clock::now();
    put(to, record);
    get(from, record);
    if (i >= 0) times.push_back(us_since(begin));
  }
  return round_trip_of(times);
}

void wait_for_end(int fd) {
  char byte = 0;
  while (read(fd, &byte, 1) > 0) {
  }
}

/// Memory that this process shares with its children.
template <class T>
class Shared {
 public:
  Shared() {
    void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("cannot share memory");
    value_ = new (memory) T;
  }
  ~Shared() { munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() const { return value_; }

 private:
  T* value_;
};

}  // namespace

RoundTrip socketpair_round_trip(int trips) {
  const SocketPair pair;
  const Child other([&] { pass_on(pair.far(), pair.far()); });
  return time_trips(pair.near(), pair.near(), trips);
}

RoundTrip ring_round_trip(int trips, int busy) {
  constexpr std::size_t kHops = 4;
  std::vector<Child> spinning;
  for (int i = 0; i < busy; ++i) {
    spinning.emplace_back([] {
      for (const volatile bool on = true; on;) {
      }
    });
  }
  const std::array<SocketPair, kHops> pairs;  // hop i ends at pairs[i].far()
  std::vector<Child> stations;
  for (std::size_t i = 0; i + 1 < kHops; ++i)
    stations.emplace_back([&, i] { pass_on(pairs[i].far(), pairs[i + 1].near()); });
  return time_trips(pairs[0].near(), pairs[kHops - 1].far(), trips);
}

double counter_seconds(int tasks, std::chrono::microseconds sleep, int processes) {
  struct State {
    std::atomic<int> ready{0};
    std::atomic<int> finished{0};
    std::atomic<int> next{0};
    std::atomic<Clock::rep> end{0};  // end of the last sleep
  };
  const Shared<State> state;
  const SocketPair gate;  // opens for all children at once when it is shut down
  std::vector<Child> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // warm-up: has done every step once
      ++state->ready;
      wait_for_end(gate.far());
      while (state->next++ < tasks) std::this_thread::sleep_for(sleep);
      const Clock::rep now = Clock::now().time_since_epoch().count();
      Clock::rep last = state->end;
      while (last < now && !state->end.compare_exchange_weak(last, now)) {
      }
      ++state->finished;
      for (;;) pause();  // its exit would take time from children that still work
    });
  }
  while (state->ready < processes) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto begin = Clock::now();
  shutdown(gate.near(), SHUT_WR);
  while (state->finished < processes) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return seconds_of(Clock::duration(state->end) - begin.time_since_epoch());
}

double loop_seconds(int calls, const std::function<void()>& function, int threads) {
  std::atomic<int> next{0};
  const auto begin = Clock::now();
  std::vector<std::jthread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      while (next++ < calls) function();
    });
  }
  running.clear();
  return seconds_since(begin);
}

namespace {

/// A task and its future in one allocation. std::promise is slower: its set_value makes a system call each
/// time.
struct Job {
  Job(long (*called)(long), long with) : function(called), argument(with) {}
  void run() {
    try {
      value = function(argument);
    } catch (...) {
      error = std::current_exception();
    }
    done.store(true, std::memory_order_release);
    done.notify_one();
  }
  long get() {
    done.wait(false, std::memory_order_acquire);
    if (error) std::rethrow_exception(error);
    return value;
  }

  long (*function)(long);
  long argument;
  long value = 0;
  std::exception_ptr error;
  std::atomic<bool> done{false};
};
using JobFuture = std::shared_ptr<Job>;

/// A thread pool with futures, as one writes it for speed: a thread takes up to 64 jobs at once, and polls up
/// to 100 times before it sleeps, since waking it costs as much as many jobs.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  JobFuture submit(long (*function)(long), long argument) {
    auto job = std::make_shared<Job>(function, argument);
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(job);
      waiting_.store(jobs_.size(), std::memory_order_relaxed);
      wake = asleep_ > 0;
    }
    if (wake) changed_.notify_one();
    return job;
  }

 private:
  static constexpr std::size_t kTakenMax = 64;
  static constexpr int kLooks = 100;

  void run() {
    std::vector<JobFuture> taken;
    while (take(taken)) {
      for (const JobFuture& job : taken) job->run();
    }
  }

  /// Takes jobs, and waits for the first. Returns false once the pool has stopped.
  bool take(std::vector<JobFuture>& taken) {
    taken.clear();
    for (int i = 0; i < kLooks && waiting_.load(std::memory_order_relaxed) == 0; ++i)
      std::this_thread::yield();
    std::unique_lock lock(mutex_);
    ++asleep_;
    changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
    --asleep_;
    while (!jobs_.empty() && taken.size() < kTakenMax) {
      taken.push_back(std::move(jobs_.front()));
      jobs_.pop_front();
    }
    waiting_.store(jobs_.size(), std::memory_order_relaxed);
    return !taken.empty();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<JobFuture> jobs_;
  std::atomic<std::size_t> waiting_{0};
  int asleep_ = 0;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;  // last member, since the threads use all others
};

long next(long x) { return x + 1; }

double rate_of_pool(std::uint64_t tasks, int threads) {
  Pool pool(threads);
  std::vector<JobFuture> futures;
  futures.reserve(tasks);
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < tasks; ++i) futures.push_back(pool.submit(next, static_cast<long>(i)));
  long sum = 0;
  for (const JobFuture& future : futures) sum += future->get();
  const double seconds = seconds_since(begin);
  const auto n = static_cast<long>(tasks);
  if (sum != n * (n + 1) / 2) throw std::runtime_error("the pool computed something else");
  return static_cast<double>(tasks) / seconds;
}

}  // namespace

double thread_pool(std::uint64_t tasks, int threads) {
  rate_of_pool(tasks / 10, threads);  // a warm-up, as the fabric's client has
  return rate_of_pool(tasks, threads);
}

}  // namespace weft::bench
