// SPDX-License-Identifier: MIT
// Waiting for many futures: for all of them, or for any.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "weft/future.hpp"

namespace weft {

/// Which futures were done when the waiting ended, each in the order in which they were given.
template <class R>
struct Waited {
  std::vector<Future<R>> done;
  std::vector<Future<R>> pending;
};

namespace detail {

using Timeout = std::optional<std::chrono::milliseconds>;

FutureState::Deadline deadline_after(const Timeout& timeout);
/// Waits until one of them is done, or `deadline`.
void wait_for_any(const std::vector<FutureState*>& states, const FutureState::Deadline& deadline);

template <class R>
Waited<R> sorted(const std::vector<Future<R>>& futures) {
  Waited<R> waited;
  for (const Future<R>& future : futures) (future.done() ? waited.done : waited.pending).push_back(future);
  return waited;
}

}  // namespace detail

/// Waits until all are done, however they ended, or until `timeout` has passed.
template <class R>
Waited<R> wait(const std::vector<Future<R>>& futures,
               std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
  const auto deadline = detail::deadline_after(timeout);
  for (const Future<R>& future : futures) {
    static_cast<void>(future.id());  // throws when it stands for no task
    if (!future.handle()->wait_until(deadline)) break;
  }
  return detail::sorted(futures);
}

/// Waits until at least one is done, however it ended, or until `timeout` has passed. Without any futures:
/// returns at once.
template <class R>
Waited<R> wait_any(const std::vector<Future<R>>& futures,
                   std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
  std::vector<detail::FutureState*> states;
  states.reserve(futures.size());
  for (const Future<R>& future : futures) {
    static_cast<void>(future.id());
    states.push_back(future.handle().get());
  }
  detail::wait_for_any(states, detail::deadline_after(timeout));
  return detail::sorted(futures);
}

}  // namespace weft
