// SPDX-License-Identifier: MIT
// Waiting for several futures: for all of them, or for any.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "weft/future.hpp"

namespace weft {

/// The futures that were done at the end of the wait, and those that were not, each list in the given order.
template <class R>
struct Waited {
  std::vector<Future<R>> done;
  std::vector<Future<R>> pending;
};

namespace detail {

/// Waits until one of `states` is done, or until `deadline`.
void wait_for_any(const std::vector<FutureState*>& states, const FutureState::Deadline& deadline);

template <class R>
Waited<R> sorted(const std::vector<Future<R>>& futures) {
  Waited<R> waited;
  for (const Future<R>& future : futures) (future.done() ? waited.done : waited.pending).push_back(future);
  return waited;
}

template <class R>
Waited<R> wait_all_until(const std::vector<Future<R>>& futures, const FutureState::Deadline& deadline) {
  for (const Future<R>& future : futures) {
    static_cast<void>(future.id());  // throws if the future has no task
    const auto& state = *future.handle();
    if (!state.wait_until(deadline) || !state.wait_for_callbacks(deadline)) break;
  }
  return sorted(futures);
}

template <class R>
Waited<R> wait_any_until(const std::vector<Future<R>>& futures, const FutureState::Deadline& deadline) {
  std::vector<FutureState*> states;
  states.reserve(futures.size());
  for (const Future<R>& future : futures) {
    static_cast<void>(future.id());
    states.push_back(future.handle().get());
  }
  wait_for_any(states, deadline);
  return sorted(futures);
}

}  // namespace detail

/// Waits until all futures are done, whether their tasks succeeded or not, and their on_done callbacks have
/// returned; at most for `timeout` (nullopt: for ever). Throws Error if a future has no task, but not the
/// errors of tasks.
template <class R>
Waited<R> wait(const std::vector<Future<R>>& futures,
               std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
  return detail::wait_all_until(futures, detail::deadline_after(timeout));
}
template <class R, class Rep, class Period>
Waited<R> wait(const std::vector<Future<R>>& futures, std::chrono::duration<Rep, Period> timeout) {
  return detail::wait_all_until(futures, detail::deadline_after(timeout));
}

/// Waits until at least one future is done, whether its task succeeded or not; at most for `timeout`
/// (nullopt: for ever). Returns at once if there are no futures. Throws like wait().
template <class R>
Waited<R> wait_any(const std::vector<Future<R>>& futures,
                   std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
  return detail::wait_any_until(futures, detail::deadline_after(timeout));
}
template <class R, class Rep, class Period>
Waited<R> wait_any(const std::vector<Future<R>>& futures, std::chrono::duration<Rep, Period> timeout) {
  return detail::wait_any_until(futures, detail::deadline_after(timeout));
}

}  // namespace weft
