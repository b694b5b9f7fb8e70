// SPDX-License-Identifier: MIT
// Helm: which thread runs the client's loop. That is its I/O thread, which a program wakes with what it
// submits and which wakes whoever waits for an answer: nothing, where much is under way. One that submits a
// task, waits for it, and submits the next would wake two threads more for each task than it has to. So when
// an answer was waited for and nothing else is open, the I/O thread steps back for a moment: the next
// submit() sends by itself, and the thread that waits for the answer runs the loop until it is there.
//
//   I/O thread has it -- step_back() --> free <-- steer(), submit(): for a while --> that thread has it
//                     <-- recall(), or nobody has wanted it for a moment --
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

namespace weft::client {

class Helm {
 public:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // nullopt: never

  /// What is run, by one thread at a time, and not always the same.
  class Loop {
   public:
    Loop() = default;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    virtual ~Loop() = default;
    /// Waits until `until` at most, and does what there is to do.
    virtual void turn(const Deadline& until) noexcept = 0;
    /// Somebody has to run it: answers are outstanding.
    virtual bool busy() const = 0;
    /// There is nothing to run any more.
    virtual bool over() const = 0;
  };
  using Lock = std::unique_lock<std::mutex>;  // held by whoever runs the loop

  // ---- for the I/O thread, which holds the lock ----

  /// From now on there is a loop. It must live until end().
  Lock begin(Loop& loop);
  void end(Lock lock);
  /// Lets others run the loop, unless `wanted` says that there is work at once. Returns with the lock when it
  /// was recalled, or when nobody has run the loop for a moment, or did and left it busy.
  void step_back(Lock& lock, const std::function<bool()>& wanted);

  // ---- for any thread ----

  /// Runs the loop here until `done`, which is looked at after each turn, or until `deadline`. False: it is
  /// not to be had, since the I/O thread runs it or another thread does.
  bool steer(const std::function<bool()>& done, const Deadline& deadline);
  /// One turn here, for what was submitted. False: wake the I/O thread; also for the second of two without a
  /// steer() between them, since then there will be more.
  bool submit();
  /// The I/O thread is to run the loop, for somebody who will not.
  void recall();
  /// The I/O thread has stepped back.
  bool is_free() const { return free_.load(); }

 private:
  Lock take();

  std::mutex mutex_;
  Loop* loop_ = nullptr;    // null: there is none yet, or no more
  bool used_ = false;       // by others, since the I/O thread looked last
  bool submitted_ = false;  // since the last steer()
  std::atomic<bool> free_{false};
  std::atomic<std::uint32_t> recalls_{0};  // the I/O thread sleeps on it while it has stepped back
};

}  // namespace weft::client
