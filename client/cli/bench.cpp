// SPDX-License-Identifier: MIT
#include "client/cli/bench.hpp"

#include <algorithm>
#include <ranges>
#include <thread>

namespace weft::bench {

namespace {

constexpr std::uint64_t kTasksMax = 300'000;  // for one point of the efficiency curve

long next(long x) { return x + 1; }

/// Runs `steps` steps, which the compiler cannot optimise away; returns the nanoseconds that they took.
long spin(long steps) {
  const auto begin = Clock::now();
  for (volatile long i = 0; i < steps;) i = i + 1;
  return std::chrono::nanoseconds(Clock::now() - begin).count();
}

std::uint32_t slots_of(Client& client) {
  const std::uint32_t slots = client.cluster().slots;
  if (slots == 0) throw Error("no worker has joined");
  return slots;
}

double rate(std::uint64_t tasks, Clock::time_point begin, long sum) {
  const double seconds = seconds_since(begin);
  const auto n = static_cast<long>(tasks);
  if (sum != n * (n + 1) / 2) throw Error("the results are wrong");
  return static_cast<double>(tasks) / seconds;
}

auto numbers(std::uint64_t count) { return std::views::iota(0L, static_cast<long>(count)); }

/// Nanoseconds per step while all slots are busy with steps.
double step_ns(Client& client, std::uint32_t slots) {
  constexpr long kSteps = 10'000'000;
  constexpr std::size_t kEach = 3;
  std::vector<double> times;
  for (const long ns : client.gather(client.map<spin>(std::vector<long>(slots * kEach, kSteps))))
    times.push_back(static_cast<double>(ns) / static_cast<double>(kSteps));
  return median(std::move(times));
}

}  // namespace

void warm_up(Client& client) {
  const std::uint32_t slots = slots_of(client);
  constexpr std::size_t kEach = 4;
  // a few milliseconds: too long to be queued behind another task, so every slot gets tasks
  constexpr long kSteps = 10'000'000;
  client.gather(client.map<spin>(std::vector<long>(slots * kEach, kSteps)));
  client.gather(client.map<next>(numbers(1000)));
}

double map_and_gather(Client& client, std::uint64_t tasks) {
  const auto begin = Clock::now();
  const std::vector<long> results = client.gather(client.map<next>(numbers(tasks)));
  long sum = 0;
  for (const long result : results) sum += result;
  return rate(tasks, begin, sum);
}

double map_and_take(Client& client, std::uint64_t tasks) {
  const auto begin = Clock::now();
  auto futures = client.map<next>(numbers(tasks));
  long sum = 0;
  for (auto& future : futures) sum += std::move(future).result();
  return rate(tasks, begin, sum);
}

double submit_and_gather(Client& client, std::uint64_t tasks, int threads) {
  const auto count = static_cast<std::uint64_t>(threads);
  std::vector<std::vector<Future<long>>> futures(count);
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> submitting;
    for (std::uint64_t t = 0; t < count; ++t) {
      submitting.emplace_back([&, t] {
        futures[t].reserve(tasks / count + 1);
        for (std::uint64_t i = t; i < tasks; i += count)
          futures[t].push_back(client.submit<next>(static_cast<long>(i)));
      });
    }
  }
  long sum = 0;
  for (const auto& some : futures) {
    for (const long result : client.gather(some)) sum += result;
  }
  return rate(tasks, begin, sum);
}

RoundTrip round_trip(Client& client, int trips, std::chrono::seconds at_most) {
  std::vector<double> times_us;
  const auto end = Clock::now() + at_most;
  for (long i = 0; i < trips && Clock::now() < end; ++i) {
    const auto begin = Clock::now();
    if (client.submit<next>(i).result() != i + 1) throw Error("the results are wrong");
    times_us.push_back(us_since(begin));
  }
  return round_trip_of(times_us);
}

Efficiency efficiency(Client& client, std::chrono::microseconds length, std::chrono::milliseconds ideal) {
  const std::uint32_t slots = slots_of(client);
  const double before_ns = step_ns(client, slots);
  const double length_ns = static_cast<double>(std::chrono::nanoseconds(length).count());
  const long steps = std::max(1L, static_cast<long>(length_ns / before_ns));
  const auto fit = static_cast<std::uint64_t>(std::chrono::microseconds(ideal) / length) * slots;
  const std::uint64_t tasks = std::clamp<std::uint64_t>(fit, slots * 4, kTasksMax) / slots * slots;
  const auto begin = Clock::now();
  client.gather(client.map<spin>(std::vector<long>(tasks, steps)));
  const double seconds = seconds_since(begin);
  const double ns = (before_ns + step_ns(client, slots)) / 2;
  const double useful_s = static_cast<double>(tasks) * static_cast<double>(steps) * ns / 1e9 / slots;
  return {static_cast<double>(length.count()), useful_s / seconds};
}

}  // namespace weft::bench
