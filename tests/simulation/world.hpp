// SPDX-License-Identifier: MIT
// World: virtual time, the queue of future events, chance, and the trace of past events (discrete-event
// simulation). Single thread.
#pragma once

#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.hpp"
#include "tests/simulation/coverage.hpp"
#include "tests/simulation/random.hpp"
#include "tests/simulation/trace.hpp"

namespace weft::sim {

class World {
 public:
  /// How far the processes of this world differ from ideal ones.
  struct Noise {
    Duration turn_max = std::chrono::microseconds(300);  // from an event to the turn that handles it
    std::int64_t drift_ppm_max = 10'000;                 // of a clock's rate: one percent
    static Noise none() { return {Duration(0), 0}; }
  };

  World(std::uint64_t seed, Trace& trace, Coverage& coverage) : World(seed, trace, coverage, Noise()) {}
  World(std::uint64_t seed, Trace& trace, Coverage& coverage, Noise noise)
      : random_(seed), trace_(trace), coverage_(coverage), noise_(noise) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Time now() const { return now_; }
  /// Calls `happen` at `time`, or now if that is past. Events of the same time happen in the order of these
  /// calls.
  void at(Time time, std::function<void()> happen) {
    queue_.push(Entry{std::max(time, now_), next_serial_++, std::move(happen)});
  }
  void after(Duration delay, std::function<void()> happen) { at(now_ + delay, std::move(happen)); }
  /// Runs all events that are due by `time`, and sets the clock to `time`.
  void run_until(Time time);

  Random& random() { return random_; }
  const Noise& noise() const { return noise_; }
  Coverage& coverage() { return coverage_; }
  Trace& trace() { return trace_; }
  template <class Make>
  void note(std::string_view node, std::string_view content, Make make) {
    trace_.add(now_, node, content, make);
  }
  template <class Make>
  void note(std::string_view node, Make make) {
    trace_.add(now_, node, make);
  }
  std::uint64_t events() const { return events_; }

 private:
  struct Entry {
    Time at;
    std::uint64_t serial;
    std::function<void()> happen;
    bool operator>(const Entry& other) const {
      return at != other.at ? at > other.at : serial > other.serial;
    }
  };

  Time now_{};
  Random random_;
  Trace& trace_;
  Coverage& coverage_;
  const Noise noise_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  std::uint64_t next_serial_ = 0;
  std::uint64_t events_ = 0;
};

/// Prints which promise was broken, and aborts; the handler of SIGABRT in main.cpp prints the trace before
/// it.
[[noreturn]] void fail(const std::string& what);

}  // namespace weft::sim
