// SPDX-License-Identifier: MIT
// as_completed: iterates over futures in the order in which their tasks finish.
// weft::progress(weft::as_completed(futures)) also draws a progress bar.
//
//   for (weft::Future<long>& future : weft::as_completed(futures)) use(future.result());
#pragma once

#include <condition_variable>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/future.hpp"

namespace weft {

namespace detail {

/// The indexes of futures that are done, in the order in which they finished.
class Arrivals {
 public:
  void add(std::size_t index);
  /// Waits for arrival number `n` (from 0), at most until `deadline`. Returns the index of its future;
  /// nullopt: `deadline` has passed.
  std::optional<std::size_t> wait_for(std::size_t n, const FutureState::Deadline& deadline);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> indexes_;
};

/// Adds `index` to `arrivals` when the task of `state` is done.
void report_to(FutureState& state, std::shared_ptr<Arrivals> arrivals, std::size_t index);

/// A progress bar on stderr, drawn while the range is iterated.
class Drawing;
std::shared_ptr<Drawing> start_drawing(const std::vector<FutureState*>& states);
/// Waits for arrival number `n` and returns the index of its future; redraws the bar until then.
std::size_t draw_until(Drawing& drawing, Arrivals& arrivals, std::size_t n);
/// Draws the final state of the bar. REQUIRES: all futures are done.
void finish_drawing(Drawing& drawing);

template <class T>
inline constexpr bool kIsFuture = false;
template <class R>
inline constexpr bool kIsFuture<Future<R>> = true;

}  // namespace detail

/// A single-pass range that owns copies of the futures. Each step waits for the next task to finish, fail or
/// be cancelled; a future that was given twice appears twice. The step to the end of the range also waits
/// until the on_done callbacks of all futures have returned. Not thread-safe; moving the range invalidates
/// its iterators.
template <class R>
class AsCompleted {
 public:
  /// Throws Error if a future has no task.
  explicit AsCompleted(std::vector<Future<R>> futures)
      : futures_(std::move(futures)), arrivals_(std::make_shared<detail::Arrivals>()) {
    for (std::size_t i = 0; i < futures_.size(); ++i) {
      static_cast<void>(futures_[i].id());  // throws if the future has no task
      detail::report_to(*futures_[i].handle(), arrivals_, i);
    }
  }
  AsCompleted(AsCompleted&&) = default;
  AsCompleted& operator=(AsCompleted&&) = default;

  class iterator {
   public:
    using value_type = Future<R>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    /// Waits for the future of this step. The reference is valid as long as the range is.
    Future<R>& operator*() const { return owner_->next_done(); }
    Future<R>* operator->() const { return &**this; }
    /// Waits for the future of this step, if operator* has not done so.
    iterator& operator++() {
      owner_->pass();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return owner_->passed_ == owner_->futures_.size(); }

   private:
    friend class AsCompleted;
    explicit iterator(AsCompleted* owner) : owner_(owner) {}
    AsCompleted* owner_ = nullptr;
  };

  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  /// Number of futures that the iteration has not stepped past.
  std::size_t remaining() const { return futures_.size() - passed_; }

  /// Starts a progress bar on stderr, which is redrawn during the iteration. Called by weft::progress.
  void draw() {
    std::vector<detail::FutureState*> states;
    states.reserve(futures_.size());
    for (const Future<R>& future : futures_) states.push_back(future.handle().get());
    drawing_ = detail::start_drawing(states);
  }

 private:
  Future<R>& next_done() {
    if (seen_ == passed_) {
      current_ = drawing_ ? detail::draw_until(*drawing_, *arrivals_, passed_)
                          : *arrivals_->wait_for(passed_, std::nullopt);
      ++seen_;
      const auto& state = futures_[current_].handle();
      if (state->has_callbacks()) called_.push_back(state);
    }
    return futures_[current_];
  }

  void pass() {
    next_done();
    if (++passed_ < futures_.size()) return;
    for (const auto& state : called_) state->wait_for_callbacks(std::nullopt);
    called_.clear();
    if (drawing_) detail::finish_drawing(*drawing_);
  }

  std::vector<Future<R>> futures_;
  std::shared_ptr<detail::Arrivals> arrivals_;  // shared with the futures, which may outlive the range
  std::shared_ptr<detail::Drawing> drawing_;
  // done, but their callbacks had not returned yet
  std::vector<detail::IntrusivePtr<detail::FutureState>> called_;
  std::size_t passed_ = 0;
  std::size_t seen_ = 0;     // number of steps that have waited for their future
  std::size_t current_ = 0;  // index of the future of step `passed_`
};

/// Iterates over `futures` in the order in which their tasks finish. Throws Error if a future has no task.
template <class R>
AsCompleted<R> as_completed(std::vector<Future<R>> futures) {
  return AsCompleted<R>(std::move(futures));
}

/// as_completed for any other range of futures, which are copied.
template <std::ranges::input_range Range>
requires detail::kIsFuture<std::ranges::range_value_t<Range>>
auto as_completed(Range&& range) {
  std::vector<std::ranges::range_value_t<Range>> futures;
  for (auto&& future : range) futures.push_back(future);
  return AsCompleted(std::move(futures));
}

}  // namespace weft
