// SPDX-License-Identifier: MIT
// LoopLease: the lease on the client's loop, which one thread at a time holds (leader/follower). Normally the
// I/O thread runs the loop. A submit then costs a wake-up of the I/O thread, and a result a wake-up of the
// waiting thread: negligible in bulk, but dominant when a program submits a task, waits for it, and submits
// the next. So when an awaited answer has arrived and no other task is open, the I/O thread yields the loop:
// the next submit() sends in the calling thread, and the thread that waits for the answer runs the loop until
// the answer arrives.
//
//   I/O thread has the loop -- yield() --> free <-- run_until(), submit() --> the calling thread has the loop
//                           <-- reclaim(), or no thread has run the loop for 1 ms --
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

namespace weft::client {

class LoopLease {
 public:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // nullopt: never

  /// The loop, run by one thread at a time, not always the same.
  class Loop {
   public:
    Loop() = default;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    virtual ~Loop() = default;
    /// One iteration: waits for messages and submissions, at most until `until`, and handles them.
    virtual void poll_once(const Deadline& until) noexcept = 0;
    /// Answers are outstanding, so a thread has to run the loop.
    virtual bool busy() const = 0;
    /// The loop has ended.
    virtual bool over() const = 0;
  };
  using Lock = std::unique_lock<std::mutex>;  // held by the thread that runs the loop

  // ---- for the I/O thread, which holds the lock ----

  /// Registers the loop, which must live until end().
  Lock begin(Loop& loop);
  void end(Lock lock);
  /// Lets other threads run the loop, unless `wanted` returns true. Returns with the lock after reclaim(), or
  /// when no thread has run the loop for 1 ms, or a thread has left the loop busy.
  void yield(Lock& lock, const std::function<bool()>& wanted);

  // ---- for any thread ----

  /// Runs the loop in this thread until `done`, which is checked after each iteration, or until `deadline`.
  /// False: another thread has the loop.
  bool run_until(const std::function<bool()>& done, const Deadline& deadline);
  /// Runs one iteration in this thread, to send what was submitted. False: wake the I/O thread. Also false
  /// for the second submit without a run_until() in between, since such a program submits many tasks.
  bool submit();
  /// Makes the I/O thread run the loop again.
  void reclaim();
  /// Whether the I/O thread has yielded the loop.
  bool is_free() const { return free_.load(); }

 private:
  Lock take();

  std::mutex mutex_;
  Loop* loop_ = nullptr;    // null: not registered
  bool used_ = false;       // another thread has run the loop since the I/O thread checked
  bool submitted_ = false;  // a submit() has run an iteration since the last run_until()
  std::atomic<bool> free_{false};
  std::atomic<std::uint32_t> reclaims_{0};  // a futex, on which the I/O thread sleeps in yield()
};

}  // namespace weft::client
