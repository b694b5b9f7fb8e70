// SPDX-License-Identifier: MIT
// FakeBell: one end of the wake-up path of a runner channel, on virtual time. Descriptors are numbers.
#pragma once

#include <cerrno>
#include <deque>
#include <functional>
#include <utility>

#include "common/runner/bell.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

class FakeBell final : public runner::Bell {
 public:
  /// `on_heard` is called when listen() has something to return.
  explicit FakeBell(std::function<void()> on_heard) : on_heard_(std::move(on_heard)) {}

  void connect(FakeBell& other) {
    other_ = &other;
    other.other_ = this;
  }
  /// The other end reads what was sent before, and then the end of the connection.
  void hang_up() {
    if (std::exchange(hung_up_, true)) return;
    other_->on_heard_();
  }
  bool has_something() const { return !heard_.empty() || other_->hung_up_; }

  int wake(int descriptor) override {
    if (hung_up_) return EPIPE;
    other_->heard_.push_back(descriptor);
    other_->on_heard_();
    return 0;
  }
  Heard listen(bool wait) override {
    if (heard_.empty() && other_->hung_up_) return {Heard::Kind::end};
    if (heard_.empty() && wait) fail("a runner waits for a descriptor that was not sent before its message");
    if (heard_.empty()) return {};
    const int descriptor = heard_.front();
    heard_.pop_front();
    return {Heard::Kind::wake_up, descriptor};
  }
  void close(int) override {}

 private:
  std::function<void()> on_heard_;
  FakeBell* other_ = nullptr;
  std::deque<int> heard_;  // descriptors; -1: none
  bool hung_up_ = false;
};

}  // namespace weft::sim
