// SPDX-License-Identifier: MIT
#include "client/connection/fork_guard.hpp"

#include <pthread.h>

#include <atomic>

namespace weft::client {

namespace {
std::atomic<unsigned> generation{0};
}

unsigned fork_generation() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  (void)registered;
  return generation.load(std::memory_order_relaxed);
}

}  // namespace weft::client
