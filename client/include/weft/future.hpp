// SPDX-License-Identifier: MIT
// Future<R>: the result of a task that runs, or will run, somewhere else.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "weft/detail/future_state.hpp"

namespace weft {

/// A cheap handle (one pointer); copies share one state and may be used from different threads. It
/// outlives the Client: a value stays, a task that was not done becomes TaskCancelled. Dropping
/// every copy does not cancel the task.
///
/// A Future that was made by its default constructor stands for nothing, and everything but
/// assigning to it throws Error.
template <class R>
class Future {
 public:
  Future() = default;

  /// Waits for the value. Throws the task's error, every time it is asked (TaskFailed, TaskCrashed,
  /// TaskTimeout, TaskCancelled, TaskUnschedulable), ConnectionError when the broker is gone for good,
  /// Error when the value was moved out before.
  decltype(auto) result() const& { return shared().get(); }

  /// The same, but moves the value out and frees it: for results that are large, or many. It is gone
  /// for the other copies of this future as well.
  R result() && { return shared().take(); }

  /// A copy of the value, or nullopt when the task is not done within `time`. Throws as result().
  /// For Future<void>: whether it was done.
  template <class Rep, class Period>
  auto result_for(std::chrono::duration<Rep, Period> time) const {
    if constexpr (std::is_void_v<R>) {
      if (!wait_for(time)) return false;
      result();
      return true;
    } else {
      return wait_for(time) ? std::optional<R>(result()) : std::nullopt;
    }
  }

  /// Waits until the task is done, however it ended. (Not for callbacks: weft::wait does.)
  void wait() const { shared().wait_until(std::nullopt); }
  /// The same for at most `time`; false: it is not done. Any duration will do: its max() is for ever, a
  /// negative one is 0.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> time) const {
    return shared().wait_until(detail::deadline_after(time));
  }

  /// True once result() would not wait.
  bool done() const { return shared().done(); }
  /// queued, running (which may come a little late, or not at all), done, failed or cancelled.
  TaskState state() const { return shared().state(); }

  /// Waits. Why there is no value, or nullopt: it succeeded. Throws ConnectionError when that is why.
  std::optional<TaskError> error() const {
    wait();
    return state_->error();
  }

  /// Cancels the task: the future is TaskCancelled from here on, and the cluster is told to stop it.
  /// Of a finished task: nothing happens.
  void cancel() { shared().cancel(); }

  /// Calls `callback` with this future once the task is done, however it ended: in the client's
  /// callback thread, in the order in which tasks finish; at once and here when it is done already.
  /// weft::wait, weft::progress, gather and the last step of as_completed return when it has returned, unless
  /// they are called in a callback. An exception that leaves it goes no further: the first is reported on
  /// stderr, further ones are counted.
  void on_done(std::function<void(Future)> callback);

  /// Names the task in messages and in `weft status`.
  TaskId id() const { return shared().id(); }

  /// For the library.
  explicit Future(detail::Ref<detail::TypedState<R>> state) : state_(std::move(state)) {}
  const detail::Ref<detail::TypedState<R>>& handle() const { return state_; }

 private:
  detail::TypedState<R>& shared() const {
    if (!state_) throw Error("this weft::Future stands for no task: it was not made by a Client");
    return *state_;
  }

  detail::Ref<detail::TypedState<R>> state_;
};

namespace detail {

/// Future::on_done.
template <class R>
class Callback final : public Continuation {
 public:
  explicit Callback(std::function<void(Future<R>)> function)
      : Continuation(false), function_(std::move(function)) {}
  void run(FutureState& state) override {
    function_(Future<R>(Ref<TypedState<R>>(static_cast<TypedState<R>*>(&state))));
  }

 private:
  std::function<void(Future<R>)> function_;
};

}  // namespace detail

template <class R>
void Future<R>::on_done(std::function<void(Future)> callback) {
  shared().add(std::make_unique<detail::Callback<R>>(std::move(callback)));
}

}  // namespace weft
