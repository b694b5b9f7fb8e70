// SPDX-License-Identifier: MIT
// The size of each workload: the same for the fabric and for its floors.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace weft::bench {

inline constexpr std::uint64_t kManyTasks = 1'000'000;
inline constexpr int kTrips = 5000;                  // of one task on an otherwise idle cluster
inline constexpr int kTripsUnderLoad = 1000;         // while a million other tasks are queued
inline constexpr std::uint64_t kRawUnderWay = 1000;  // under load: its rate is that of the fabric
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

/// The article's function: ten million steps that no compiler folds away. It has a file to itself, so that
/// the fabric and its floors run the very same instructions: on some processors the same loop at another
/// address takes half as long again, and a compiler that sees the function may make several copies.
long inc(long x);

}  // namespace weft::bench
