// SPDX-License-Identifier: MIT
// Measures a cluster as a program sees it: by the calls of the public interface, with every result received,
// decoded and checked. Used by `weft bench` and tests/bench. Needs slots that are otherwise idle.
#pragma once

#include <chrono>
#include <cstdint>
#include <weft/weft.hpp>

#include "client/cli/bench_clock.hpp"

namespace weft::bench {

/// Returns when every slot has run tasks of this program. Throws Error when there is no slot.
void warm_up(Client& client);

/// No-ops per second by one map and one gather.
double map_and_gather(Client& client, std::uint64_t tasks);
/// No-ops per second by one map, after which each result is moved out of its future, one by one and in order.
double map_and_take(Client& client, std::uint64_t tasks);
/// No-ops per second by a submit() for each, from `threads` threads and without waiting; then one gather.
double submit_and_gather(Client& client, std::uint64_t tasks, int threads);

/// Latency of one no-op at a time; stops after `at_most`.
RoundTrip round_trip(Client& client, int trips, std::chrono::seconds at_most = std::chrono::seconds(60));

/// The fraction of the slots' time that is spent in tasks of one length.
struct Efficiency {
  double length_us = 0;
  double part = 0;  // 1: all of the time
};
/// Runs tasks that count up for `length`. The speed of counting is measured before and after, with all slots
/// busy. `ideal`: how long all tasks would take without overhead.
Efficiency efficiency(Client& client, std::chrono::microseconds length, std::chrono::milliseconds ideal);

}  // namespace weft::bench
