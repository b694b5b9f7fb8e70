// SPDX-License-Identifier: MIT
// What a cluster does for a client, measured as a program sees it: the calls of the public interface, and
// every result received, decoded and checked. `weft bench` and tests/bench use it. Needs slots that are
// otherwise idle.
#pragma once

#include <chrono>
#include <cstdint>
#include <weft/weft.hpp>

#include "client/bench_clock.hpp"

namespace weft::bench {

/// Until every slot has run something of this program. Throws Error when there is no slot.
void warm_up(Client& client);

/// Tasks a second of no-ops: one map, one gather.
double map_and_gather(Client& client, std::uint64_t tasks);
/// One map, and each result taken out of its future by itself, in order.
double map_and_take(Client& client, std::uint64_t tasks);
/// One submit for each, from so many threads, nothing awaited in between; one gather.
double submit_and_gather(Client& client, std::uint64_t tasks, int threads);

/// One no-op at a time; fewer of them when that would take longer than `at_most`.
RoundTrip round_trip(Client& client, int trips, std::chrono::seconds at_most = std::chrono::seconds(60));

/// Which part of the slots' time is used by tasks of one length, when there are enough of them.
struct Efficiency {
  double length_us = 0;
  double part = 0;  // 1: all of it
};
/// The work of a task is so many steps as took `length` when every slot did nothing but steps, before and
/// after. `ideal`: how long all tasks would take together.
Efficiency efficiency(Client& client, std::chrono::microseconds length, std::chrono::milliseconds ideal);

}  // namespace weft::bench
