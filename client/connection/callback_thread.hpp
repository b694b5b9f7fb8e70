// SPDX-License-Identifier: MIT
// CallbackThread runs the callbacks of Future::on_done, one after the other, in a thread that is started for
// the first callback. A callback may throw, be slow, submit tasks, or destroy the Client. The first exception
// is reported at once; the others are counted and reported at the end, since a callback that always throws
// would fill the terminal.
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

  /// Queues `continuation`; after stop(), runs it in the calling thread.
  void post(IntrusivePtr<FutureState> state, std::unique_ptr<Continuation> continuation);
  /// Returns when all queued callbacks have run, or after `patience`: then the thread is detached and runs
  /// the rest.
  void stop(std::chrono::milliseconds patience);

  /// Runs `continuation` in the calling thread, for a task that is already done.
  void run(IntrusivePtr<FutureState> state, std::unique_ptr<Continuation> continuation) noexcept;
  /// Whether the calling thread is running queued callbacks, or a callback of `state`: waiting here for the
  /// callbacks of `state` would deadlock.
  static bool must_not_wait_for(const FutureState& state) noexcept;

 private:
  enum class Role : bool { inline_call, in_turn };

  void loop();
  void call(IntrusivePtr<FutureState> state, std::unique_ptr<Continuation> continuation, Role role) noexcept;
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
