// SPDX-License-Identifier: MIT
#include "client/connection/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace weft::client {

namespace {
const std::uint32_t* address_of(const std::atomic<std::uint32_t>& word) {
  static_assert(sizeof(word) == sizeof(std::uint32_t) && std::atomic<std::uint32_t>::is_always_lock_free);
  return reinterpret_cast<const std::uint32_t*>(&word);
}
}  // namespace

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<SteadyTime> deadline) {
  std::timespec time{};
  if (deadline) {  // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, the clock of steady_clock
    const auto since_zero = deadline->time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_zero);
    time.tv_sec = seconds.count();
    time.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since_zero - seconds).count();
  }
  ::syscall(SYS_futex, address_of(word), FUTEX_WAIT_BITSET_PRIVATE, expected, deadline ? &time : nullptr,
            nullptr, FUTEX_BITSET_MATCH_ANY);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, address_of(word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

AnyFinished& AnyFinished::instance() {
  static AnyFinished* const one = new AnyFinished;  // never destroyed: a static Client may outlive statics
  return *one;
}

}  // namespace weft::client
