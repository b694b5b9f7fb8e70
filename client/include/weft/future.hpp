// SPDX-License-Identifier: MIT
// Future<R>: the result of a task that runs, or will run, on a worker.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "weft/detail/future_state.hpp"

namespace weft {

/// A handle to the result of one task, one pointer wide. Copies share one state and may be used from
/// different threads. A Future outlives its Client: values stay, and tasks that were not done become
/// TaskCancelled. Destroying every copy does not cancel the task.
///
/// A default-constructed Future has no task: everything except assigning to it throws Error.
template <class R>
class Future {
 public:
  Future() = default;

  /// Waits for the value and returns a reference, which is valid as long as a copy of this future. Throws the
  /// task's error on every call (TaskFailed, TaskCrashed, TaskTimeout, TaskCancelled, TaskUnschedulable),
  /// ConnectionError when the broker is lost for good, and Error when the value has been moved out.
  decltype(auto) result() const& { return shared().get(); }

  /// The same, but moves the value out, for results that are large or many: std::move(future).result(). Later
  /// calls on any copy of this future throw Error.
  R result() && { return shared().take(); }

  /// A copy of the value, or nullopt if the task is not done within `time`. Throws like result(). For
  /// Future<void>: whether the task is done.
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

  /// Waits until the task has finished, failed or been cancelled. (Does not wait for on_done callbacks;
  /// weft::wait does.)
  void wait() const { shared().wait_until(std::nullopt); }
  /// The same, for at most `time`; false: the task is not done. Any duration is valid: max() means for ever,
  /// a negative duration means 0.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> time) const {
    return shared().wait_until(detail::deadline_after(time));
  }

  /// Whether result() returns without waiting.
  bool done() const { return shared().done(); }
  /// queued, running (reported with a delay, or never for short tasks), done, failed or cancelled.
  TaskState state() const { return shared().state(); }

  /// Waits until the task is done, then returns its error; nullopt: it succeeded. Throws ConnectionError when
  /// the broker was lost for good.
  std::optional<TaskError> error() const {
    wait();
    return state_->error();
  }

  /// Cancels the task: the future becomes TaskCancelled at once, and the cluster is told to stop the task.
  /// Does nothing if the task is done.
  void cancel() { shared().cancel(); }

  /// Calls `callback` with this future once the task has finished, failed or been cancelled: in the client's
  /// callback thread, in the order in which tasks finish, or at once in this thread if the task is done
  /// already. weft::wait, weft::progress, gather and the last step of as_completed wait until the callback
  /// has returned, unless they are called in a callback. Exceptions do not propagate: the first is reported
  /// on stderr, further ones are counted.
  void on_done(std::function<void(Future)> callback);

  /// The id of the task, as in error messages and `weft why`.
  TaskId id() const { return shared().id(); }

  /// Used by the library only.
  explicit Future(detail::IntrusivePtr<detail::TypedState<R>> state) : state_(std::move(state)) {}
  const detail::IntrusivePtr<detail::TypedState<R>>& handle() const { return state_; }

 private:
  detail::TypedState<R>& shared() const {
    if (!state_) throw Error("this weft::Future has no task: it was not made by a Client");
    return *state_;
  }

  detail::IntrusivePtr<detail::TypedState<R>> state_;
};

namespace detail {

/// Future::on_done.
template <class R>
class Callback final : public Continuation {
 public:
  explicit Callback(std::function<void(Future<R>)> function)
      : Continuation(false), function_(std::move(function)) {}
  void run(FutureState& state) override {
    function_(Future<R>(IntrusivePtr<TypedState<R>>(static_cast<TypedState<R>*>(&state))));
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
