// SPDX-License-Identifier: MIT
// DeliveryAcks: which deliveries of the broker the client has taken, and when to acknowledge them. ACKs are
// cumulative and coalesced: each goes all the way to a worker, and wakes as many threads there as a result
// does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/base/check.hpp"
#include "common/base/time.hpp"

namespace weft::client {

class DeliveryAcks {
 public:
  struct Settings {
    Duration interval = std::chrono::milliseconds(20);  // minimum time between two ACKs,
    std::uint64_t deliveries = 1000;                    // unless this many deliveries are unacknowledged,
    std::size_t bytes = 256 << 10;                      // or this many bytes of results
  };

  explicit DeliveryAcks(const Settings& settings) : settings_(settings) {}

  /// A new epoch: delivery numbers start again from 1.
  void restart() {
    taken_ = acknowledged_ = bytes_ = 0;
    due_ = false;
  }
  /// The broker has resumed the session: our HELLO has told it taken().
  void on_resumed() { acknowledged_ = taken_; }

  /// The highest delivery number taken.
  std::uint64_t taken() const { return taken_; }
  bool has_unacknowledged() const { return acknowledged_ < taken_; }

  /// A DELIVER has come: it is acknowledged even if it has nothing new, since the first ACK may be lost.
  void on_deliver() { due_ = true; }
  /// Whether delivery `number`, with `bytes` of payload, is new. REQUIRES: it is at most one more than
  /// taken().
  bool take(std::uint64_t number, std::size_t bytes) {
    if (number <= taken_) return false;
    WEFT_CHECK(number == taken_ + 1);
    taken_ = number;
    bytes_ += bytes;
    return true;
  }

  bool is_due(Time now) const {
    return due_ && (now >= not_before_ || taken_ - acknowledged_ >= settings_.deliveries ||
                    bytes_ >= settings_.bytes);
  }
  std::optional<Time> deadline() const { return due_ ? std::optional(not_before_) : std::nullopt; }
  /// An ACK of taken() is sent.
  void on_sent(Time now) {
    acknowledged_ = taken_;
    due_ = false;
    bytes_ = 0;
    not_before_ = now + settings_.interval;
  }

 private:
  Settings settings_;
  std::uint64_t taken_ = 0;
  std::uint64_t acknowledged_ = 0;  // on this connection
  bool due_ = false;
  std::size_t bytes_ = 0;  // of results since the last ACK
  Time not_before_{};      // the next ACK, for the interval's sake
};

}  // namespace weft::client
