// SPDX-License-Identifier: MIT
// How much of what is measured: the same for the fabric and for its floors.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace weft::bench {

inline constexpr std::uint64_t kManyTasks = 1'000'000;
inline constexpr int kTrips = 5000;                  // of one task, nothing else going on
inline constexpr int kTripsUnderLoad = 1000;         // beside a million others
inline constexpr std::uint64_t kRawUnderWay = 1000;  // there: it does as many tasks a second as the fabric
inline constexpr int kBusyProcesses = 5;             // under load: client, broker, agent and two runners
inline constexpr int kSleeps = 1000;
inline constexpr std::chrono::milliseconds kSleep{10};
inline constexpr std::array kSleepSlots{1, 4, 16, 60, 240};
inline constexpr int kIncCalls = 200;
inline constexpr std::chrono::milliseconds kCurveIdeal{
    250};  // of work in each slot, for a point of the curve
inline constexpr std::array<std::chrono::microseconds, 16> kCurve = {
    std::chrono::microseconds(1),      std::chrono::microseconds(2),      std::chrono::microseconds(5),
    std::chrono::microseconds(10),     std::chrono::microseconds(20),     std::chrono::microseconds(50),
    std::chrono::microseconds(100),    std::chrono::microseconds(200),    std::chrono::microseconds(500),
    std::chrono::microseconds(1000),   std::chrono::microseconds(2000),   std::chrono::microseconds(5000),
    std::chrono::microseconds(10'000), std::chrono::microseconds(20'000), std::chrono::microseconds(50'000),
    std::chrono::microseconds(100'000)};

/// The article's: ten million steps that no compiler folds away. In a file of its own: the fabric and its
/// floors are to run the very same instructions (on some processors the same loop in another place takes half
/// as long again), and where a compiler sees the function it may make one copy for each.
long inc(long x);

}  // namespace weft::bench
