// SPDX-License-Identifier: MIT
// CallbackThread runs what programs gave to Future::on_done, one after the other, in a thread of
// its own that is started with the first of them. A callback may throw, be slow, submit more, or
// destroy the Client.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "weft/detail/future_state.hpp"

namespace weft::detail {

class CallbackThread : public std::enable_shared_from_this<CallbackThread> {
 public:
  CallbackThread() = default;
  CallbackThread(const CallbackThread&) = delete;
  CallbackThread& operator=(const CallbackThread&) = delete;

  /// Runs `continuation` when those before it have run. After stop(): runs it here and now.
  void post(Ref<FutureState> state, std::unique_ptr<Continuation> continuation);
  /// Returns when what was posted has run, or after `patience`: then the rest runs while the program
  /// goes on, in a thread that nobody waits for.
  void stop(std::chrono::milliseconds patience);

  /// Runs it, and reports what it throws.
  static void run(FutureState& state, Continuation& continuation) noexcept;

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Continuation>> queue_;
  std::thread thread_;
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace weft::detail
