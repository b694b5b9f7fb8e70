// SPDX-License-Identifier: MIT
#include "broker/scheduler/deliveries.hpp"

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"

namespace weft::broker {

void Deliveries::add(wire::DeliveryRecord record) {
  bytes_ += bytes_of(record);
  waiting_.push_back(std::move(record));
}

wire::Deliver Deliveries::take(std::size_t window_bytes) {
  wire::Deliver batch;
  batch.first = acknowledged_ + sent_ + 1;
  for (; sent_ < waiting_.size(); ++sent_) {
    const wire::DeliveryRecord& next = waiting_[sent_];
    if (sent_bytes_ > 0 && sent_bytes_ + bytes_of(next) > window_bytes) break;
    sent_bytes_ += bytes_of(next);
    batch.records.push_back(next);
  }
  return batch;
}

std::map<std::uint64_t, std::uint64_t> Deliveries::unacknowledged_answers() const {
  std::map<std::uint64_t, std::uint64_t> answers;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i].kind == wire::DeliveryKind::final) answers[waiting_[i].seq] = acknowledged_ + i + 1;
  }
  return answers;
}

void Deliveries::acknowledge(std::uint64_t number) {
  while (acknowledged_ < number && !waiting_.empty()) {
    const std::size_t bytes = bytes_of(waiting_.front());
    bytes_ -= bytes;
    if (sent_ > 0) {
      --sent_;
      sent_bytes_ -= bytes;
    }
    waiting_.pop_front();
    ++acknowledged_;
  }
}

void Deliveries::restart() {
  waiting_.clear();
  acknowledged_ = 0;
  sent_ = sent_bytes_ = bytes_ = 0;
}

void Deliveries::check_invariants() const {
  std::size_t bytes = 0;
  std::size_t sent_bytes = 0;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    bytes += bytes_of(waiting_[i]);
    if (i < sent_) sent_bytes += bytes_of(waiting_[i]);
  }
  WEFT_CHECK(sent_ <= waiting_.size());
  WEFT_CHECK(bytes == bytes_);
  WEFT_CHECK(sent_bytes == sent_bytes_);
}

void PendingReleases::add(const PendingRelease& release) {
  if (!waiting_.empty()) {
    PendingRelease& last = waiting_.back();
    if (last.peer == release.peer && last.after == release.after && last.detached == 0 &&
        release.detached == 0) {
      last.outbox = std::max(last.outbox, release.outbox);  // a repeated result may be older
      return;
    }
  }
  waiting_.push_back(PendingRelease(release));
}

}  // namespace weft::broker
