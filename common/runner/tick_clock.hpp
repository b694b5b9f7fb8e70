// SPDX-License-Identifier: MIT
// TickClock: CLOCK_MONOTONIC derived from the time stamp counter, which is read in half the time. A runner
// reads it between tasks, so it computes with integers: a floating-point operation would leave its exception
// flags to the next task.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace weft::runner {

class TickClock {
 public:
  /// Raw time: only differences are meaningful, and only compared with each other.
  static std::uint64_t ticks() {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return static_cast<std::uint64_t>(monotonic_ns());
#endif
  }

  /// CLOCK_MONOTONIC in us at `ticks`, which must have been read just now.
  std::int64_t us_at(std::uint64_t ticks) {
    const std::uint64_t since = ticks - base_.ticks;
    if (since >= valid_ticks_) return now_ns() / 1000;
    return (base_.ns + static_cast<std::int64_t>(since * ns_per_tick_ >> kFractionBits)) / 1000;
  }

 private:
  __extension__ using Wide = unsigned __int128;
  struct Pair {
    std::uint64_t ticks = 0;
    std::int64_t ns = 0;
  };
  // Over a shorter time, the measured rate is not accurate enough.
  static constexpr std::int64_t kBaseline_ns = 500'000;
  static constexpr std::int64_t kValid_ns = 1'000'000;  // after this, both clocks are read again
  static constexpr int kFractionBits = 32;

  static std::int64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  /// Whether the counter's rate is independent of the processor's frequency (invariant TSC).
  static bool is_steady() {
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1U << 8) != 0;
#else
    return false;
#endif
  }

  /// Reads both clocks at the same moment: the least disturbed of three attempts.
  static Pair read_both() {
    Pair best;
    std::uint64_t best_took = UINT64_MAX;
    for (int attempt = 0; attempt < 3; ++attempt) {
      const std::uint64_t before = ticks();
      const std::int64_t ns = monotonic_ns();
      const std::uint64_t took = ticks() - before;
      if (took >= best_took) continue;
      best_took = took;
      best = {before + took / 2, ns};
    }
    return best;
  }

  std::int64_t now_ns() {
    if (!steady_) return monotonic_ns();
    base_ = read_both();
    const std::int64_t baseline = base_.ns - first_.ns;
    if (baseline >= kBaseline_ns && base_.ticks > first_.ticks) {
      const auto fraction = static_cast<Wide>(baseline) << kFractionBits;
      ns_per_tick_ =
          std::max<std::uint64_t>(static_cast<std::uint64_t>(fraction / (base_.ticks - first_.ticks)), 1);
      valid_ticks_ = (static_cast<std::uint64_t>(kValid_ns) << kFractionBits) / ns_per_tick_;
    }
    return base_.ns;
  }

  const bool steady_ = is_steady();
  const Pair first_ = read_both();
  Pair base_;
  std::uint64_t ns_per_tick_ = 0;  // fixed point, in units of 2^-32 ns
  std::uint64_t valid_ticks_ = 0;
};

/// Recognises tasks that cannot have made a system call, because they took less time than the cheapest one.
/// That time is measured repeatedly, since the processor's frequency changes.
class CallGate {
 public:
  /// Reports the time of a system call that does nothing.
  void saw_call(std::uint64_t ticks) { call_ = std::min(call_ + call_ / 64, ticks); }
  bool may_have_called(std::uint64_t ticks) const { return ticks >= call_ - call_ / 4; }
  /// Whether std::locale::global() may have been called, which takes at least a third of a system call.
  bool may_have_changed_locale(std::uint64_t ticks) const { return ticks >= call_ / 3; }

 private:
  std::uint64_t call_ = 1 << 20;
};

}  // namespace weft::runner
