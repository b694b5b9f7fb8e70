// SPDX-License-Identifier: MIT
// CallbackThread runs what programs gave to Future::on_done, one after the other, in a thread of
// its own that is started with the first of them. A callback may throw, be slow, submit more, or
// destroy the Client. The first exception is reported at once, the others are counted and reported at
// the end: a sweep whose callback throws each time would fill the terminal.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
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

  /// Runs it in this thread, since the task is done.
  void run(Ref<FutureState> state, std::unique_ptr<Continuation> continuation) noexcept;
  /// This thread runs callbacks in turn, or one of `state`: to wait here for those of `state` would never
  /// end.
  static bool must_not_wait_for(const FutureState& state) noexcept;

 private:
  enum class Role : bool { inline_call, in_turn };

  void loop();
  void call(Ref<FutureState> state, std::unique_ptr<Continuation> continuation, Role role) noexcept;
  void count_exception(const FutureState& state, const std::string& what) noexcept;
  void report_exceptions() noexcept;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Continuation>> queue_;
  std::thread thread_;
  bool stopping_ = false;
  bool finished_ = false;

  std::mutex exceptions_mutex_;
  std::size_t exceptions_ = 0;
  std::string last_exception_;
};

}  // namespace weft::detail
