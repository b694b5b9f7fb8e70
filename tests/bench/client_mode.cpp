// SPDX-License-Identifier: MIT
// The client programs: weft_bench --client MODE ADDRESS [ARGUMENTS]. Each prints lines of a name and a
// number.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <limits>
#include <ranges>
#include <thread>
#include <weft/weft.hpp>

#include "client/cli/bench.hpp"
#include "tests/bench/cluster.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

namespace {

using namespace std::chrono_literals;
using Arguments = std::vector<std::string>;

// ---- tasks ----

long next(long x) { return x + 1; }
/// The time of its start, by the clock that all processes of a machine share.
long started_ns(long) { return Clock::now().time_since_epoch().count(); }
/// The same if it runs on worker `worker`, otherwise the largest long. It takes 20 us, so that a queue of
/// them lasts.
long started_there_ns(const std::string& worker) {
  const long started = started_ns(0);
  while (started_ns(0) - started < 20'000) {
  }
  return this_task::worker() == worker ? started : std::numeric_limits<long>::max();
}
void sleep_for_us(long us) { std::this_thread::sleep_for(std::chrono::microseconds(us)); }
void die() { _exit(1); }
std::size_t size_of(const std::string& text) { return text.size(); }

// ---- helpers ----

void say(const std::string& name, double value) {
  fmt::print("{} {:.17g}\n", name, value);
  std::fflush(stdout);
}

long number(const Arguments& arguments, std::size_t index) { return std::stol(arguments.at(index)); }

std::vector<long> zeros(long count) { return std::vector<long>(static_cast<std::size_t>(count)); }

[[noreturn]] void wait_to_be_killed() {
  for (;;) pause();
}

// ---- modes ----

void throughput(Client& client, const Arguments& arguments) {
  const long tasks = number(arguments, 0);
  const auto broker = static_cast<pid_t>(number(arguments, 1));
  warm_up(client);
  map_and_gather(client, static_cast<std::uint64_t>(tasks) / 10);
  const double cpu = cpu_seconds(broker);
  say("map", map_and_gather(client, static_cast<std::uint64_t>(tasks)));
  say("broker_us", (cpu_seconds(broker) - cpu) * 1e6 / static_cast<double>(tasks));
}

/// Runs on worker `worker` alone, while all other workers stay idle.
void throughput_there(Client& client, const Arguments& arguments) {
  const long tasks = number(arguments, 0);
  ClientWith there = client.with({.workers = {"worker"}});
  client.gather(there.map<next>(std::views::iota(0L, tasks / 10)));
  const auto begin = Clock::now();
  client.gather(there.map<next>(std::views::iota(0L, tasks)));
  say("rate", static_cast<double>(tasks) / seconds_since(begin));
}

void submits(Client& client, const Arguments& arguments) {
  const auto tasks = static_cast<std::uint64_t>(number(arguments, 0));
  warm_up(client);
  say("map", map_and_gather(client, tasks));
  say("submit_1", submit_and_gather(client, tasks, 1));
  say("submit_4", submit_and_gather(client, tasks, 4));
  say("take", map_and_take(client, tasks));
}

void trips(Client& client, const Arguments& arguments) {
  warm_up(client);
  round_trip(client, 200, 2s);
  const RoundTrip trip = round_trip(client, static_cast<int>(number(arguments, 0)), 15s);
  say("p50", trip.p50_us);
  say("p99", trip.p99_us);
}

void curve(Client& client, const Arguments&) {
  warm_up(client);
  for (const auto length : kCurve) {
    const Efficiency point = efficiency(client, length, kCurveIdeal);
    say(std::to_string(length.count()), point.part);
  }
}

void sleeps(Client& client, const Arguments& arguments) {
  const long slots = number(arguments, 0);
  for (int i = 0; i < 2; ++i)
    client.gather(client.map<sleep_for_us>(std::vector<long>(static_cast<std::size_t>(slots) * 3, 50'000)));
  const auto begin = Clock::now();
  client.gather(
      client.map<sleep_for_us>(std::vector<long>(kSleeps, std::chrono::microseconds(kSleep).count())));
  say("seconds", seconds_since(begin));
}

void call_inc(Client& client, const Arguments&) {
  warm_up(client);
  const auto begin = Clock::now();
  client.gather(client.map<inc>(std::views::iota(0L, static_cast<long>(kIncCalls))));
  say("seconds", seconds_since(begin));
}

/// Keeps this many tasks outstanding, in maps of 250; turn() takes the results of the oldest map and submits
/// another.
class Window {
 public:
  static constexpr long kMap = 250;
  Window(Client& client, long outstanding) : client_(client) {
    while (static_cast<long>(maps_.size()) * kMap < outstanding) add();
  }
  void turn() {
    client_.gather(maps_.front());
    maps_.pop_front();
    add();
  }

 private:
  void add() { maps_.push_back(client_.map<next>(std::views::iota(0L, kMap))); }
  Client& client_;
  std::deque<std::vector<Future<long>>> maps_;
};

/// A window that is completely queued at the broker, since no worker has joined yet.
Window filled(Client& client, long outstanding) {
  Window window(client, outstanding);
  while (static_cast<long>(client.cluster().tasks_queued) < outstanding)
    std::this_thread::sleep_for(10ms);  // until all tasks have arrived
  say("queued", static_cast<double>(outstanding));
  return window;
}

/// Measures tasks per second with this many tasks outstanding.
void queue(Client& client, const Arguments& arguments) {
  const long tasks = number(arguments, 1);
  Window window = filled(client, number(arguments, 0));
  for (long done = 0; done < tasks / 4; done += Window::kMap) window.turn();
  const auto begin = Clock::now();
  for (long done = 0; done < tasks; done += Window::kMap) window.turn();
  say("rate", static_cast<double>(tasks) / seconds_since(begin));
  _exit(0);  // the rest is not waited for
}

/// Keeps the tasks outstanding until the process is killed.
void load(Client& client, const Arguments& arguments) {
  Window window = filled(client, number(arguments, 0));
  for (;;) window.turn();
}

void first_start(Client& client, const Arguments& arguments) {
  warm_up(client);
  client.gather(client.map<started_ns>(zeros(1000)));
  const std::vector<long> inputs = zeros(number(arguments, 0));
  const long begin = started_ns(0);
  const auto futures = client.map<started_ns>(inputs);
  long first = std::numeric_limits<long>::max();
  for (const long started : client.gather(futures)) first = std::min(first, started);
  say("ms", static_cast<double>(first - begin) / 1e6);
}

/// Prints when the worker of this name starts its first task, while this many tasks wait.
void late_worker(Client& client, const Arguments& arguments) {
  warm_up(client);
  const auto futures = client.map<started_there_ns>(
      std::vector<std::string>(static_cast<std::size_t>(number(arguments, 0)), arguments.at(1)));
  say("queued", 1);
  for (const auto& future : futures) {
    if (future.result() == std::numeric_limits<long>::max()) continue;
    say("started_ns", static_cast<double>(future.result()));
    _exit(0);
  }
  throw Error("the late worker got nothing");
}

/// A string of 14 characters makes an argument of 16 bytes.
void pending(Client& client, const Arguments& arguments) {
  const auto tasks = static_cast<std::size_t>(number(arguments, 0));
  const auto in_use = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  const std::vector<std::string> inputs(1000, "14 characters.");
  std::vector<std::vector<Future<std::size_t>>> futures;
  futures.reserve(tasks / inputs.size());
  const double before = in_use();
  while (futures.size() < tasks / inputs.size()) futures.push_back(client.map<size_of>(inputs));
  while (client.cluster().tasks_queued < tasks) std::this_thread::sleep_for(50ms);  // until all have arrived
  for (double last = 0; last != in_use();) {  // until the send buffers are empty
    last = in_use();
    std::this_thread::sleep_for(200ms);
  }
  say("client_bytes", (in_use() - before) / static_cast<double>(tasks));
  wait_to_be_killed();
}

void idle(Client& client, const Arguments&) {
  warm_up(client);
  say("idle", 1);
  wait_to_be_killed();
}

void first_result(Client& client, const Arguments&) {
  if (client.submit<next>(1L).result() != 2) throw Error("the result is wrong");
  say("done_ns", static_cast<double>(started_ns(0)));
}

/// Measures how much later a task starts if its runner must be started first.
void runner_start(Client& client, const Arguments& arguments) {
  warm_up(client);
  std::vector<double> warm_us;
  std::vector<double> cold_us;
  const auto to_start_us = [&] {
    const long begin = started_ns(0);
    return static_cast<double>(client.submit<started_ns>(0L).result() - begin) / 1e3;
  };
  for (long i = 0; i < number(arguments, 0); ++i) {
    to_start_us();
    warm_us.push_back(to_start_us());
    (void)client.with({.crash_limit = 1}).submit<die>().error();
    cold_us.push_back(to_start_us());
  }
  say("ms", (median(cold_us) - median(warm_us)) / 1e3);
}

struct Mode {
  const char* name;
  void (*run)(Client&, const Arguments&);
};
constexpr Mode kModes[] = {
    {"throughput", throughput},
    {"throughput_there", throughput_there},
    {"submits", submits},
    {"trips", trips},
    {"curve", curve},
    {"sleeps", sleeps},
    {"inc", call_inc},
    {"queue", queue},
    {"load", load},
    {"first_start", first_start},
    {"late_worker", late_worker},
    {"pending", pending},
    {"idle", idle},
    {"first_result", first_result},
    {"runner_start", runner_start},
};

}  // namespace

int client_main(const std::vector<std::string>& arguments) {
  try {
    for (const Mode& mode : kModes) {
      if (arguments.at(0) != mode.name) continue;
      Client client(arguments.at(1));
      mode.run(client, Arguments(arguments.begin() + 2, arguments.end()));
      return 0;
    }
    fmt::print(stderr, "there is no client program '{}'\n", arguments.at(0));
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

}  // namespace weft::bench
