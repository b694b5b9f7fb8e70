// SPDX-License-Identifier: MIT
// progress: a progress bar on stderr while tasks run.
//
//   fit [#####>....] 1234/5000 24% | 812 task/s | running 16, failed 2 | 00:12 ETA 00:31
#pragma once

#include <utility>
#include <vector>

#include "weft/as_completed.hpp"
#include "weft/future.hpp"

namespace weft {

namespace detail {
/// Draws the progress of `states` until all are done and their callbacks have returned.
void draw_progress(const std::vector<FutureState*>& states);

template <class R>
void draw_progress_of(const std::vector<Future<R>>& futures) {
  std::vector<FutureState*> states;
  states.reserve(futures.size());
  for (const Future<R>& future : futures) {
    static_cast<void>(future.id());  // throws if the future has no task
    states.push_back(future.handle().get());
  }
  draw_progress(states);
}
}  // namespace detail

/// Waits until all futures are done, whether their tasks succeed or not, and their on_done callbacks have
/// returned, and draws the progress on stderr: on a terminal one line, elsewhere a line for each tenth of the
/// tasks. The line starts with the label of the tasks, and reports when no worker has joined. Returns its
/// argument. Throws Error if a future has no task, but not the errors of tasks.
template <class R>
const std::vector<Future<R>>& progress(const std::vector<Future<R>>& futures) {
  detail::draw_progress_of(futures);
  return futures;
}
template <class R>
std::vector<Future<R>> progress(std::vector<Future<R>>&& futures) {
  detail::draw_progress_of(futures);
  return std::move(futures);
}
template <class R>
Future<R> progress(const Future<R>& future) {
  detail::draw_progress_of(std::vector<Future<R>>{future});
  return future;
}

/// Draws the progress while results are taken one by one, each as soon as it is available:
///
///   for (auto& future : weft::progress(weft::as_completed(futures))) use(future.result());
template <class R>
AsCompleted<R> progress(AsCompleted<R>&& completed) {
  completed.draw();
  return std::move(completed);
}

}  // namespace weft
