// SPDX-License-Identifier: MIT
// Step: what all parts of the scheduler share: the time of the current step, its actions, and the timers that
// start later steps.
#pragma once

#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "broker/scheduler/events.hpp"
#include "broker/scheduler/roster.hpp"
#include "common/base/check.hpp"
#include "common/base/time.hpp"

namespace weft::broker {

enum class TimerKind : std::uint8_t {
  worker_gone,
  client_grace,
  task_due,
  queue_timeout,
  adoption,
  awaited_session,
  result_expiry,
  found,
  rebalance,
  avoided,
};

/// Timers are not cancelled: the handler of a timer checks that its reason still holds.
struct Timer {
  Time at;
  TimerKind kind;
  Uuid who;
  std::uint64_t seq;
  bool operator>(const Timer& other) const { return at > other.at; }
};

class Step {
 public:
  /// `unix_us_at_zero`: the wall clock at Time{}, in microseconds since 1970.
  Step(Roster& roster, Time now, std::int64_t unix_us_at_zero)
      : roster_(roster), started_(now), now_(now), previous_(now), unix_us_at_zero_(unix_us_at_zero) {}

  /// REQUIRES: `now` is not before now(). `actions` outlives the step.
  void begin(Time now, Actions& actions) {
    WEFT_CHECK(now >= now_);
    previous_ = std::exchange(now_, now);
    actions_ = &actions;
  }
  void end() { actions_ = nullptr; }

  Time now() const { return now_; }
  /// The time of the step before this one.
  Time previous() const { return previous_; }
  /// When this broker was started.
  Time started() const { return started_; }
  /// Milliseconds since 1970.
  std::int64_t unix_ms(Time time) const {
    return (unix_us_at_zero_ + time.time_since_epoch().count()) / 1000;
  }

  Actions& actions() { return *actions_; }
  /// Adds a Send to the actions; does nothing for kNoPeer.
  void send(PeerId peer, wire::Message message) {
    if (peer == kNoPeer) return;
    if (Peer* known = roster_.peers().find(peer)) known->sent = now_;
    actions_->push_back(Send{peer, std::move(message)});
  }
  void notify(Notice notice) { actions_->push_back(Notify{std::move(notice)}); }

  void start_timer(Time at, TimerKind kind, const Uuid& who, std::uint64_t seq = 0) {
    timers_.push(Timer{at, kind, who, seq});
  }
  /// Removes and returns the earliest timer that is due at now(), if any.
  std::optional<Timer> take_due_timer() {
    if (timers_.empty() || timers_.top().at > now_) return std::nullopt;
    const Timer timer = timers_.top();
    timers_.pop();
    return timer;
  }
  std::optional<Time> next_timer() const {
    return timers_.empty() ? std::nullopt : std::optional<Time>(timers_.top().at);
  }

 private:
  Roster& roster_;
  const Time started_;
  Time now_;
  Time previous_;
  std::int64_t unix_us_at_zero_;
  Actions* actions_ = nullptr;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
};

}  // namespace weft::broker
