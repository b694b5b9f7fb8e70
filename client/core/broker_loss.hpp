// SPDX-License-Identifier: MIT
// BrokerLoss: since when there has been no working connection to a broker, why, and what of that has been
// said. A connection that breaks before it makes progress is part of the same loss: otherwise a broker that
// closes every connection at once would be waited for without end, and each time be reported.
#pragma once

#include <string>
#include <utility>

#include "common/base/time.hpp"

namespace weft::client {

class BrokerLoss {
 public:
  /// `now`: when the search for a broker begins.
  explicit BrokerLoss(Time now) : since_(now) {}

  /// Valid while there is no connection.
  Time since() const { return since_; }
  /// Why the last connection broke, or could not be made; "": unknown.
  const std::string& reason() const { return reason_; }
  std::string reason_or_no_answer() const { return reason_.empty() ? "no answer" : reason_; }

  /// A connection is lost. Returns true if that is to be reported: there was a broker, and the loss is a new
  /// one.
  bool on_lost(Time now, const std::string& reason, bool had_broker) {
    reason_ = reason;
    if (!had_broker || std::exchange(loss_reported_, true)) return false;
    since_ = now;
    return true;
  }
  /// WELCOME has come. Returns true if the return of the broker is to be reported.
  bool on_joined(Time now) {
    joined_at_ = now;
    reason_.clear();
    return loss_reported_ && !std::exchange(return_reported_, true);
  }
  /// The connection works: the next loss is another one.
  void on_progress() { loss_reported_ = return_reported_ = false; }
  Time joined_at() const { return joined_at_; }

  /// Nothing has answered since the start.
  bool no_answer_reported() const { return no_answer_reported_; }
  void on_no_answer_reported() { no_answer_reported_ = true; }

 private:
  Time since_;
  Time joined_at_{};
  std::string reason_;
  bool loss_reported_ = false;
  bool return_reported_ = false;
  bool no_answer_reported_ = false;
};

}  // namespace weft::client
