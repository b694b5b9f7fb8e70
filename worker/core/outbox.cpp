// SPDX-License-Identifier: MIT
#include "worker/core/outbox.hpp"

#include <algorithm>

namespace weft::worker {

void Outbox::add(Entry&& entry, Actions* actions) {
  entries_.push_back(std::move(entry));
  if (actions) send(entries_.size() - 1, *actions);
}

void Outbox::release(std::uint64_t released) {
  while (!entries_.empty() && first_ <= released) {
    entries_.pop_front();
    ++first_;
  }
}

void Outbox::send_all(Actions& actions) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) send(i, actions);
}

// Consecutive entries are coalesced into one message. Only a message that begins at the oldest entry is
// marked fresh: a later one would make the broker skip results that it has not received.
void Outbox::send(std::size_t index, Actions& actions) const {
  constexpr std::size_t kRecordsMax = 4096;
  const Entry& entry = entries_[index];
  if (!actions.empty() && std::holds_alternative<Send>(actions.back())) {
    auto* last = std::get_if<wire::Results>(&*std::get<Send>(actions.back()).message);
    if (last != nullptr && last->session == session_ && last->epoch == entry.epoch &&
        last->first + last->records.size() == first_ + index && last->records.size() < kRecordsMax) {
      last->records.push_back(entry.record);
      return;
    }
  }
  actions.push_back(Send{wire::Results{session_, entry.epoch, index == 0, first_ + index, {entry.record}}});
}

bool Outbox::holds(std::uint64_t seq, const wire::Attempt& attempt) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.record.seq == seq && entry.record.number == attempt.number && entry.epoch == attempt.epoch;
  });
}

}  // namespace weft::worker
