// SPDX-License-Identifier: MIT
#include "client/callback_thread.hpp"

#include <cstdio>
#include <exception>

#include "common/blocked_signals.hpp"

namespace weft::detail {

void CallbackThread::run(FutureState& state, Continuation& continuation) noexcept {
  try {
    continuation.run(state);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft: an on_done callback of task %s threw: %s\n", state.id().text().c_str(),
                 error.what());
  } catch (...) {
    std::fprintf(stderr, "weft: an on_done callback of task %s threw something that is no std::exception\n",
                 state.id().text().c_str());
  }
}

void CallbackThread::post(Ref<FutureState> state, std::unique_ptr<Continuation> continuation) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    run(*state, *continuation);
    return;
  }
  continuation->state_ = std::move(state);
  queue_.push_back(std::move(continuation));
  if (!thread_.joinable()) {
    BlockedSignals blocked;
    // It keeps itself alive: a slow callback may outlast the Client.
    thread_ = std::thread([self = shared_from_this()] { self->loop(); });
  }
  lock.unlock();
  changed_.notify_all();
}

void CallbackThread::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) break;
    {
      const std::unique_ptr<Continuation> next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      const Ref<FutureState> state = std::move(next->state_);
      run(*state, *next);
    }  // what it captured ends outside the lock as well
    lock.lock();
  }
  finished_ = true;
  changed_.notify_all();
}

void CallbackThread::stop(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (!thread_.joinable()) return;
  changed_.notify_all();
  const bool is_own_thread = thread_.get_id() == std::this_thread::get_id();
  if (!is_own_thread && changed_.wait_for(lock, patience, [&] { return finished_; })) {
    lock.unlock();
    thread_.join();
  } else {
    thread_.detach();
  }
}

}  // namespace weft::detail
