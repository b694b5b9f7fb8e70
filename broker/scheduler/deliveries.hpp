// SPDX-License-Identifier: MIT
// The deliveries to one client that it has not acknowledged, and the results that workers may release after
// its acknowledgement.
//
// Deliveries are numbered from 1 in the order in which they were made. An acknowledgement is cumulative;
// until then a delivery is stored, and sent again on the client's next connection. Owned by a Session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "broker/scheduler/events.hpp"
#include "common/base/vector_queue.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

class Deliveries {
 public:
  void add(wire::DeliveryRecord record);

  /// The next deliveries to send: as many as fit into `window_bytes` together with those sent and not
  /// acknowledged, but at least one when there are none of these. No records: send nothing now.
  wire::Deliver take(std::size_t window_bytes);
  /// The numbers of all final deliveries that are not acknowledged, by task.
  std::map<std::uint64_t, std::uint64_t> unacknowledged_answers() const;
  /// The client has all deliveries up to `number`.
  void acknowledge(std::uint64_t number);
  /// The client has a new connection: take() starts again from the first delivery not acknowledged.
  void send_again() { sent_ = sent_bytes_ = 0; }
  /// The session's next client knows of no delivery: drops all, and the next one has number 1.
  void restart();

  bool empty() const { return waiting_.empty(); }
  std::uint64_t acknowledged() const { return acknowledged_; }
  /// The number of the youngest delivery; acknowledged() when none waits.
  std::uint64_t last() const { return acknowledged_ + waiting_.size(); }
  /// Bytes of all deliveries that are not acknowledged.
  std::size_t bytes() const { return bytes_; }

  void check_invariants() const;

 private:
  static std::size_t bytes_of(const wire::DeliveryRecord& record) { return record.payload.size() + 32; }

  VectorQueue<wire::DeliveryRecord> waiting_;  // the first has number acknowledged_ + 1
  std::uint64_t acknowledged_ = 0;
  std::size_t sent_ = 0;        // how many of `waiting_` have been sent
  std::size_t sent_bytes_ = 0;  // their bytes
  std::size_t bytes_ = 0;
};

/// An entry in the outbox of a worker, which may release it once the client has acknowledged delivery `after`
/// and the journal has the outcome of the detached task `detached` (0: none).
struct PendingRelease {
  std::uint64_t after = 0;
  std::uint64_t detached = 0;
  PeerId peer = kNoPeer;  // of the worker; on another connection it claims the result again
  std::uint64_t outbox = 0;
};

/// The pending releases of one session, in order.
class PendingReleases {
 public:
  void add(const PendingRelease& release);
  /// The first release if its conditions hold, otherwise nullptr. `is_saved(seq)`: whether the journal has
  /// the outcome of that detached task.
  template <class IsSaved>
  const PendingRelease* due(std::uint64_t acknowledged, const IsSaved& is_saved) const {
    if (waiting_.empty() || waiting_.front().after > acknowledged) return nullptr;
    return waiting_.front().detached == 0 || is_saved(waiting_.front().detached) ? &waiting_.front()
                                                                                 : nullptr;
  }
  void pop() { waiting_.pop_front(); }
  /// The deliveries that these releases waited for have been dropped (Deliveries::restart).
  void restart() {
    for (PendingRelease& release : waiting_) release.after = 0;
  }
  bool empty() const { return waiting_.empty(); }

 private:
  VectorQueue<PendingRelease> waiting_;
};

}  // namespace weft::broker
