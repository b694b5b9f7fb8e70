// SPDX-License-Identifier: MIT
// Futexes: to wait for an object takes 4 bytes of the object, where a mutex and a condition variable take 88.
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

/// A futex of the process that changes when any task finishes: to wait for the first of many tasks.
class AnyFinished {
 public:
  static AnyFinished& instance();
  /// Between begin() and end(), a waiter reads ticket(), checks whether a task has finished already, and then
  /// calls wait_past(ticket).
  void begin() { waiters_.fetch_add(1); }
  void end() { waiters_.fetch_sub(1); }
  std::uint32_t ticket() const { return word_.load(); }
  void wait_past(std::uint32_t ticket, std::optional<SteadyTime> deadline) {
    futex_wait(word_, ticket, deadline);
  }
  /// A task has finished: wakes all waiters.
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
