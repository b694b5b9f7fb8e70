// SPDX-License-Identifier: MIT
// Futexes: waiting on a word takes four bytes for each object, where a mutex and a condition variable take
// ninety.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace weft::client {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Sleeps while `word` equals `expected`, at most until `deadline`; may return early.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<SteadyTime> deadline);
void futex_wake_all(const std::atomic<std::uint32_t>& word);

/// One word for the whole process, which changes when any task finishes; for waiting for the first of many
/// tasks.
class AnyFinished {
 public:
  static AnyFinished& instance();
  /// Bracket a wait with begin() and end(): read ticket(), check whether a task has finished already, then
  /// call wait_past(ticket).
  void begin() { waiters_.fetch_add(1); }
  void end() { waiters_.fetch_sub(1); }
  std::uint32_t ticket() const { return word_.load(); }
  void wait_past(std::uint32_t ticket, std::optional<SteadyTime> deadline) {
    futex_wait(word_, ticket, deadline);
  }
  void announce() {
    if (waiters_.load() == 0) return;
    word_.fetch_add(1);
    futex_wake_all(word_);
  }

 private:
  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> waiters_{0};
};

}  // namespace weft::client
