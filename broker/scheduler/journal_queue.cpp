// SPDX-License-Identifier: MIT
#include "broker/scheduler/journal_queue.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace weft::broker {

std::optional<Persist> JournalQueue::next_row(Time now) {
  if (under_way_ || queue_.empty() || (not_before_ && now < *not_before_)) return std::nullopt;
  Persist persist{++number_, {}};
  for (const JournalRecord& record : queue_) {
    append_record(persist.row, record);
    ++under_way_records_;
    if (persist.row.size() >= settings_.row_bytes_max) break;
  }
  under_way_ = true;
  under_way_bytes_ = persist.row.size();
  return persist;
}

bool JournalQueue::wants_rewrite(Time now) const {
  return !under_way_ && written_ >= std::max(settings_.rewrite_bytes, rewrite_at_) &&
         !(not_before_ && now < *not_before_);
}

RewriteJournal JournalQueue::rewrite(std::vector<std::string> rows) {
  WEFT_CHECK(!under_way_);
  under_way_ = rewriting_ = true;
  under_way_bytes_ = 0;
  for (const std::string& row : rows) under_way_bytes_ += row.size();
  return RewriteJournal{++number_, std::move(rows)};
}

std::vector<JournalRecord> JournalQueue::on_persisted(Time now, const Persisted& event) {
  if (!under_way_ || event.number != number_) return {};
  under_way_ = false;
  fault_ = event.fault;
  not_before_.reset();
  if (!fault_.empty()) not_before_ = now + settings_.retry;
  std::vector<JournalRecord> settled;
  if (std::exchange(rewriting_, false)) {
    if (fault_.empty()) {
      written_ = 0;
      rewrite_at_ = under_way_bytes_ * 2;
    } else {
      rewrite_at_ = written_ + settings_.rewrite_bytes;
    }
    return settled;
  }
  const std::size_t count = std::exchange(under_way_records_, 0);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  if (fault_.empty()) {
    written_ += under_way_bytes_;
    settled.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
    queue_.erase(queue_.begin(), end);
    return settled;
  }
  const auto tasks = std::stable_partition(queue_.begin(), end, [](const JournalRecord& record) {
    return !std::holds_alternative<TaskRecord>(record);
  });
  settled.assign(std::move_iterator(tasks), std::move_iterator(end));
  queue_.erase(tasks, end);
  return settled;
}

std::optional<Time> JournalQueue::deadline() const {
  return !under_way_ && !queue_.empty() ? not_before_ : std::nullopt;
}

void JournalQueue::check_invariants() const {
  WEFT_CHECK(under_way_records_ <= queue_.size());
  WEFT_CHECK(under_way_ || under_way_records_ == 0);
}

}  // namespace weft::broker
