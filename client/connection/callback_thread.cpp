// SPDX-License-Identifier: MIT
#include "client/connection/callback_thread.hpp"

#include <cstdio>
#include <exception>
#include <utility>

#include "common/system/blocked_signals.hpp"

namespace weft::detail {

namespace {

/// A callback that is running in this thread. Callbacks nest when a callback adds another to a task that is
/// done.
struct Frame {
  const FutureState* state;
  bool in_turn;
  const Frame* outer;
};
thread_local const Frame* innermost = nullptr;

}  // namespace

bool CallbackThread::must_not_wait_for(const FutureState& state) noexcept {
  for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
    if (frame->in_turn || frame->state == &state) return true;
  }
  return false;
}

void CallbackThread::call(IntrusivePtr<FutureState> state, std::unique_ptr<Continuation> continuation,
                          Role role) noexcept {
  const Frame frame{state.get(), role == Role::in_turn, innermost};
  innermost = &frame;
  try {
    continuation->run(*state);
  } catch (const std::exception& error) {
    count_exception(*state, error.what());
  } catch (...) {
    count_exception(*state, "something that is not a std::exception");
  }
  continuation.reset();  // the captures are destroyed before the callback counts as returned
  innermost = frame.outer;
  state->callback_returned();
}

void CallbackThread::run(IntrusivePtr<FutureState> state,
                         std::unique_ptr<Continuation> continuation) noexcept {
  call(std::move(state), std::move(continuation), Role::inline_call);
}

void CallbackThread::count_exception(const FutureState& state, const std::string& what) noexcept {
  const std::lock_guard lock(exceptions_mutex_);
  last_exception_ = state.id().text() + " threw: " + what;
  if (++exceptions_ == 1)
    std::fprintf(stderr, "weft: an on_done callback of task %s (further ones are only counted)\n",
                 last_exception_.c_str());
}

void CallbackThread::report_exceptions() noexcept {
  const std::lock_guard lock(exceptions_mutex_);
  if (exceptions_ > 1)
    std::fprintf(stderr, "weft: %zu on_done callbacks threw; the last, of task %s\n", exceptions_,
                 last_exception_.c_str());
  exceptions_ = 0;
}

void CallbackThread::post(IntrusivePtr<FutureState> state, std::unique_ptr<Continuation> continuation) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    return call(std::move(state), std::move(continuation), Role::in_turn);
  }
  continuation->state_ = std::move(state);
  queue_.push_back(std::move(continuation));
  if (!thread_.joinable()) {
    BlockedSignals blocked;
    // The thread shares ownership of this object, since a slow callback may outlast the Client.
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
    std::unique_ptr<Continuation> next = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    IntrusivePtr<FutureState> state = std::move(next->state_);
    call(std::move(state), std::move(next), Role::in_turn);
    lock.lock();
  }
  finished_ = true;
  changed_.notify_all();
}

void CallbackThread::stop(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (!thread_.joinable()) return report_exceptions();
  changed_.notify_all();
  const bool is_own_thread = thread_.get_id() == std::this_thread::get_id();
  if (!is_own_thread && changed_.wait_for(lock, patience, [&] { return finished_; })) {
    lock.unlock();
    thread_.join();
  } else {
    thread_.detach();
  }
  report_exceptions();
}

}  // namespace weft::detail
