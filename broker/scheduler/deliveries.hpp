// SPDX-License-Identifier: MIT
// What one client is told of its tasks, and what workers may let go of once it knows.
//
// Deliveries are numbered from 1 in the order in which they were made. The client acknowledges a number for
// all up to it; until then they are kept, and sent again on its next connection. Owned by a Session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "broker/scheduler/events.hpp"
#include "common/base/fifo.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

class Deliveries {
 public:
  void add(wire::DeliveryRecord record);

  /// The next ones to send: as many as `window_bytes` leaves room for beside those under way, but one at
  /// least when none is. No records: nothing is to be sent now.
  wire::Deliver take(std::size_t window_bytes);
  /// The numbers of all final deliveries that are not acknowledged, by task.
  std::map<std::uint64_t, std::uint64_t> unacknowledged_answers() const;
  /// The client has all up to `number`.
  void acknowledge(std::uint64_t number);
  /// On its new connection the client gets all that it has not acknowledged.
  void send_again() { sent_ = sent_bytes_ = 0; }
  /// Its next client knows of none: they are dropped, and the next has number 1.
  void restart();

  bool empty() const { return waiting_.empty(); }
  std::uint64_t acknowledged() const { return acknowledged_; }
  /// The number of the youngest; acknowledged() when there is none.
  std::uint64_t last() const { return acknowledged_ + waiting_.size(); }
  /// Of all that are not acknowledged.
  std::size_t bytes() const { return bytes_; }

  void check_invariants() const;

 private:
  static std::size_t bytes_of(const wire::DeliveryRecord& record) { return record.payload.size() + 32; }

  Fifo<wire::DeliveryRecord> waiting_;  // the first has number acknowledged_ + 1
  std::uint64_t acknowledged_ = 0;
  std::size_t sent_ = 0;        // of those that wait
  std::size_t sent_bytes_ = 0;  // of these
  std::size_t bytes_ = 0;
};

/// An entry in the outbox of a worker that it may let go of once the client has acknowledged delivery
/// `after`, and the journal has what became of the detached task `detached` (0: none).
struct PendingRelease {
  std::uint64_t after = 0;
  std::uint64_t detached = 0;
  PeerId peer = kNoPeer;  // a worker that comes back by another connection says again what it has
  std::uint64_t outbox = 0;
};

/// Those of one session, in order.
class PendingReleases {
 public:
  void add(const PendingRelease& release);
  /// The next whose time has come, or nullptr. `is_saved(seq)`: whether the journal has what became of that
  /// detached task.
  template <class IsSaved>
  const PendingRelease* due(std::uint64_t acknowledged, const IsSaved& is_saved) const {
    if (waiting_.empty() || waiting_.front().after > acknowledged) return nullptr;
    return waiting_.front().detached == 0 || is_saved(waiting_.front().detached) ? &waiting_.front()
                                                                                 : nullptr;
  }
  void pop() { waiting_.pop_front(); }
  /// The deliveries that they waited for are dropped (Deliveries::restart).
  void restart() {
    for (PendingRelease& release : waiting_) release.after = 0;
  }
  bool empty() const { return waiting_.empty(); }

 private:
  Fifo<PendingRelease> waiting_;
};

}  // namespace weft::broker
