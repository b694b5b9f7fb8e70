// SPDX-License-Identifier: MIT
// RunnerPage: what the agent reads from and writes to the page that it shares with a runner. A task can write
// anything to the page, so no value of it is trusted. Pure: memory alone.
#pragma once

#include <optional>

#include "common/base/time.hpp"
#include "common/runner/runner_channel.hpp"

namespace weft::worker {

class RunnerPage {
 public:
  /// `memory` must outlive this object.
  explicit RunnerPage(void* memory) : page_(static_cast<runner::Page*>(memory)) {}

  /// For a new runner.
  void initialise() { page_->started.store(runner::kNoneStarted); }

  /// The ordinal of the last task started: 0 before the first, UINT64_MAX if the page holds no valid one.
  std::uint64_t started() const { return ordinal_of(page_->started.load(std::memory_order_acquire)); }
  Time started_at() const { return Time(Duration(page_->started_at_us.load())); }
  void request_stop(std::uint64_t ordinal) { page_->stop.store(ordinal); }
  /// Called before a task is sent: a task that was asked to stop and has been taken back may have had the
  /// same ordinal.
  void withdraw_stop(std::uint64_t ordinal) {
    if (page_->stop.load(std::memory_order_relaxed) == ordinal) page_->stop.store(0);
  }

  /// Takes back those of the tasks `first` to `last`, all sent and not answered, that the runner has not
  /// started. Returns the ordinal of the last task that stays with the runner. The runner skips messages up
  /// to the next WELCOME, which must therefore be sent. nullopt: nothing was taken back.
  std::optional<std::uint64_t> take_back(std::uint64_t first, std::uint64_t last) {
    std::uint64_t value = page_->started.load();
    std::uint64_t ordinal = 0;
    do {
      ordinal = ordinal_of(value);
      const bool sensible = ordinal + 1 >= first && ordinal < last && (value & runner::kTakenBack) == 0;
      if (!sensible) return std::nullopt;
    } while (!page_->started.compare_exchange_weak(value, value | runner::kTakenBack));
    return ordinal;
  }

 private:
  static std::uint64_t ordinal_of(std::uint64_t started) {
    started &= ~runner::kTakenBack;
    if (started == runner::kNoneStarted) return 0;
    return started == 0 ? UINT64_MAX : started;
  }

  runner::Page* page_;
};

}  // namespace weft::worker
