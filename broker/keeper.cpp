// SPDX-License-Identifier: MIT
#include "broker/keeper.hpp"

#include <algorithm>

#include "common/check.hpp"

namespace weft::broker {

// ---- the journal ----

std::optional<Persist> Keeper::next_row(Time now) {
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

bool Keeper::wants_rewrite(Time now) const {
  return !under_way_ && written_ >= std::max(settings_.rewrite_bytes, rewrite_at_) &&
         !(not_before_ && now < *not_before_);
}

RewriteJournal Keeper::rewrite(std::vector<std::string> rows) {
  WEFT_CHECK(!under_way_);
  under_way_ = rewriting_ = true;
  under_way_bytes_ = 0;
  for (const std::string& row : rows) under_way_bytes_ += row.size();
  return RewriteJournal{++number_, std::move(rows)};
}

std::vector<JournalRecord> Keeper::on_persisted(Time now, const Persisted& event) {
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

// ---- blobs ----

bool Keeper::keep(Time now, const BlobId& id, std::uint64_t size, const Uuid& holder) {
  const auto [entry, added] = blobs_.try_emplace(id);
  Blob& blob = entry->second;
  ++blob.users;
  if (blob.state == State::kept) return true;
  blob.holder = holder;  // the one who spoke last is the likeliest to be there
  if (!added) return false;
  blob.size = size;
  fetch(now, id, blob);
  return false;
}

void Keeper::release(const BlobId& id, Actions& actions) {
  const auto found = blobs_.find(id);
  WEFT_CHECK(found != blobs_.end() && found->second.users > 0);
  if (--found->second.users > 0 || found->second.state == State::sealing) return;
  actions.push_back(ForgetBlob{id});
  blobs_.erase(found);
}

bool Keeper::has(const BlobId& id) const {
  const auto found = blobs_.find(id);
  return found != blobs_.end() && found->second.state == State::kept;
}

void Keeper::fetch(Time now, const BlobId& id, Blob& blob) {
  blob.state = State::fetching;
  blob.asked.clear();
  blob.next = blob.stored = 0;
  blob.again.reset();
  blob.moved = now;
  ask(id, blob);
}

void Keeper::ask(const BlobId& id, Blob& blob) {
  while (blob.asked.size() < wire::kChunksInFlight && (blob.next < blob.size || blob.size == 0)) {
    const auto bytes =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(wire::kChunkBytes, blob.size - blob.next));
    gets_.push_back({blob.holder, id, blob.next, bytes});
    if (!blob.asked.insert(blob.next).second) return;  // an empty blob is one empty chunk
    blob.next += bytes;
  }
}

void Keeper::on_data(Time now, const wire::Data& data, Actions& actions) {
  const auto found = blobs_.find(data.id);
  if (found == blobs_.end() || found->second.state != State::fetching) return;
  Blob& blob = found->second;
  if (!blob.asked.contains(data.offset)) return;
  if (data.bytes.size() != std::min<std::uint64_t>(wire::kChunkBytes, blob.size - data.offset)) {
    return try_again(now, data.id, blob, "its holder sent a piece of the wrong size");
  }
  blob.asked.erase(data.offset);
  blob.moved = now;
  blob.stored += data.bytes.size();
  actions.push_back(StoreChunk{data.id, blob.size, data.offset, data.bytes});
  if (blob.stored == blob.size) {
    blob.state = State::sealing;
    actions.push_back(SealBlob{data.id});
  } else {
    ask(data.id, blob);
  }
}

void Keeper::on_gone(Time now, const wire::Gone& gone) {
  const auto found = blobs_.find(gone.id);
  if (found == blobs_.end() || found->second.state != State::fetching || found->second.again) return;
  try_again(now, gone.id, found->second, gone.reason);
}

void Keeper::on_stored(Time now, const BlobStored& event, Actions& actions) {
  const auto found = blobs_.find(event.id);
  if (found == blobs_.end() || found->second.state != State::sealing) return;
  if (found->second.users == 0) {  // released meanwhile
    blobs_.erase(found);
    actions.push_back(ForgetBlob{event.id});
    return;
  }
  if (!event.fault.empty()) return try_again(now, event.id, found->second, event.fault);
  found->second.state = State::kept;
  settled_.push_back({event.id, ""});
}

/// From the start, after a while; or never, and then everybody who wants it hears why.
void Keeper::try_again(Time now, const BlobId& id, Blob& blob, const std::string& fault) {
  blob.state = State::fetching;
  blob.asked.clear();
  blob.again = now + settings_.retry;
  if (++blob.tries < settings_.fetch_tries) return;
  blob.tries = 0;
  settled_.push_back({id, fault});
}

void Keeper::collect(Actions& actions) {
  for (auto entry = blobs_.begin(); entry != blobs_.end();) {
    if (entry->second.users > 0) {
      ++entry;
      continue;
    }
    actions.push_back(ForgetBlob{entry->first});
    entry = blobs_.erase(entry);
  }
}

void Keeper::tick(Time now, Actions& actions) {
  for (auto& [id, blob] : blobs_) {
    if (blob.state != State::fetching) continue;
    if (blob.again && now >= *blob.again) {
      actions.push_back(ForgetBlob{id});  // what was stored of it
      fetch(now, id, blob);
    } else if (!blob.again && now >= blob.moved + settings_.stall) {
      try_again(now, id, blob, "its holder does not answer");
    }
  }
}

std::optional<Time> Keeper::deadline() const {
  std::optional<Time> due;
  if (!under_way_ && !queue_.empty()) due = not_before_;
  for (const auto& [id, blob] : blobs_) {
    if (blob.state != State::fetching) continue;
    due = earlier(due, blob.again ? *blob.again : blob.moved + settings_.stall);
  }
  return due;
}

void Keeper::check_invariants() const {
  WEFT_CHECK(under_way_records_ <= queue_.size());
  WEFT_CHECK(under_way_ || under_way_records_ == 0);
  for (const auto& [id, blob] : blobs_) {
    WEFT_CHECK(blob.users > 0 || blob.state != State::fetching);
    WEFT_CHECK(blob.asked.size() <= wire::kChunksInFlight && blob.stored <= blob.size);
  }
}

}  // namespace weft::broker
