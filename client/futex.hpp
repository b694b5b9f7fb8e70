// SPDX-License-Identifier: MIT
// Waiting on a word: four bytes for each thing that can be waited for, where a mutex and a condition
// variable take ninety.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace weft::client {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Sleeps while `word` is `expected`, at most until `deadline`; may return early.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<SteadyTime> deadline);
void futex_wake_all(const std::atomic<std::uint32_t>& word);

/// One word for the whole process that changes when any task of it is finished, for those who
/// wait for the first of many.
class AnyFinished {
 public:
  static AnyFinished& instance();
  /// Brackets a wait: read ticket(), look whether it has happened already, then wait_past(ticket).
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
