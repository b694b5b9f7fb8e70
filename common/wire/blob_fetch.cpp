// SPDX-License-Identifier: MIT
#include "common/wire/blob_fetch.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace weft {

// ---- from the user ----

void BlobFetch::start(const BlobId& id, std::uint64_t size, std::vector<Uuid> holders) {
  WEFT_CHECK(!holders.empty());
  const auto [entry, added] = fetches_.try_emplace(id);
  WEFT_CHECK(added);
  Fetch& fetch = entry->second;
  fetch.start_no = ++last_start_no_;
  fetch.size = size;
  fetch.holders = std::move(holders);
  move_to(State::waiting, id, fetch);
  verify_if_whole(id, fetch);  // an empty blob has nothing to ask for
}

void BlobFetch::add_holder(const BlobId& id, const Uuid& holder) {
  std::vector<Uuid>& holders = fetches_.at(id).holders;
  if (std::find(holders.begin(), holders.end(), holder) == holders.end()) holders.push_back(holder);
}

void BlobFetch::prefer_holder(const BlobId& id, const Uuid& holder) {
  std::vector<Uuid>& holders = fetches_.at(id).holders;
  std::erase(holders, holder);
  holders.insert(holders.begin(), holder);
}

void BlobFetch::remove_holder(const BlobId& id, const Uuid& holder) {
  std::vector<Uuid>& holders = fetches_.at(id).holders;
  if (holders.size() > 1) std::erase(holders, holder);
}

void BlobFetch::remove(const BlobId& id) {
  const auto found = fetches_.find(id);
  WEFT_CHECK(found != fetches_.end());
  move_to(State::verifying, id, found->second);  // neither in waiting_ nor counted in active_
  std::erase_if(actions_, [&](const Action& action) {
    return std::visit([&](const auto& a) { return a.id == id; }, action);
  });
  fetches_.erase(found);
}

void BlobFetch::clear() {
  fetches_.clear();
  waiting_.clear();
  active_ = 0;
  actions_.clear();
}

bool BlobFetch::is_verifying(const BlobId& id) const {
  const auto found = fetches_.find(id);
  return found != fetches_.end() && found->second.state == State::verifying;
}

void BlobFetch::on_good(const BlobId& id) {
  WEFT_CHECK(is_verifying(id));
  fetches_.erase(id);
}

void BlobFetch::on_bad(Time now, const BlobId& id, const std::string& fault) {
  Fetch& fetch = fetches_.at(id);
  retry_later(now, id, fetch);
  fetch.missed.clear();
  fetch.next = fetch.stored = 0;
  count_failure(id, fetch, Failed::Cause::bad, fault);
}

// ---- from the wire ----

void BlobFetch::on_joined() {
  on_lost();
  connected_ = true;
  for (auto& [id, fetch] : fetches_) {
    fetch.gone_since.reset();
    fetch.retry_at.reset();
  }
}

void BlobFetch::on_lost() {
  connected_ = false;
  std::erase_if(actions_, [](const Action& action) { return std::holds_alternative<wire::Get>(action); });
  for (auto& [id, fetch] : fetches_) {
    if (fetch.state == State::asking) close_window(id, fetch);
  }
}

void BlobFetch::on_data(Time now, const wire::Data& data) {
  const auto found = fetches_.find(data.id);
  if (found == fetches_.end()) return;
  Fetch& fetch = found->second;
  const auto asked = fetch.asked.find(data.offset);
  const bool answers = asked != fetch.asked.end();
  if (!answers && !fetch.missed.contains(data.offset)) return;  // was not asked for, or is stored already
  if (data.bytes.size() != length_at(fetch, data.offset)) {
    if (answers) count_gone(now, data.id, fetch, "its holder sent a chunk of the wrong size");
    return;
  }
  heard_at_ = now;
  if (answers) {
    newest_answered_ = std::max(newest_answered_, asked->second);
    fetch.asked.erase(asked);
  } else {
    fetch.missed.erase(data.offset);
  }
  fetch.stored += data.bytes.size();
  fetch.progress_at = now;
  fetch.gone_since.reset();
  fetch.retry_at.reset();
  actions_.push_back(StoreChunk{data.id, fetch.size, data.offset, data.bytes});
  verify_if_whole(data.id, fetch);
  if (fetch.state == State::asking) fill_window(now, data.id, fetch);
}

void BlobFetch::on_gone(Time now, const wire::Gone& gone) {
  const auto found = fetches_.find(gone.id);
  // Each open GET may be answered by a GONE: the first of them has closed the window.
  if (found == fetches_.end() || found->second.state != State::asking) return;
  count_gone(now, gone.id, found->second, gone.reason);
}

// ---- time ----

void BlobFetch::tick(Time now) {
  // A gap between two ticks is time in which this process was stopped, and answers wait to be read.
  const bool clock_jumped = now > ticked_at_ + settings_.stall / 2;
  ticked_at_ = now;
  if (!connected_) return;
  for (auto& [id, fetch] : fetches_) {
    if (fetch.state != State::asking) continue;
    if (clock_jumped) fetch.progress_at = now;
    if (now < stall_due(fetch)) continue;
    retry_later(now, id, fetch);
    count_failure(id, fetch, Failed::Cause::silent, "its holder does not answer");
  }
}

/// Many blobs over a slow connection may each be silent for long. So silence counts from the last answer for
/// any blob, unless a GET sent `stall` or more after this blob's progress has already been answered.
Time BlobFetch::stall_due(const Fetch& fetch) const {
  const Time due = fetch.progress_at + settings_.stall;
  return newest_answered_ >= due ? due : std::max(due, heard_at_ + settings_.stall);
}

std::optional<Time> BlobFetch::deadline() const {
  std::optional<Time> due;
  if (!connected_) return due;
  if (active_ > 0) due = ticked_at_ + settings_.stall / 2;
  for (const auto& [id, fetch] : fetches_) {
    if (fetch.state == State::asking) due = earlier(due, stall_due(fetch));
    if (fetch.state == State::waiting && active_ < settings_.active_max) due = earlier(due, fetch.retry_at);
  }
  return due;
}

BlobFetch::Actions BlobFetch::take(Time now) {
  for (auto next = waiting_.begin();
       connected_ && next != waiting_.end() && active_ < settings_.active_max;) {
    const BlobId id = next++->second;
    Fetch& fetch = fetches_.at(id);
    if (!fetch.retry_at || now >= *fetch.retry_at) begin(now, id, fetch);
  }
  return std::exchange(actions_, {});
}

// ---- one blob ----

void BlobFetch::move_to(State state, const BlobId& id, Fetch& fetch) {
  if (fetch.state == State::waiting) waiting_.erase(fetch.start_no);
  if (fetch.state == State::asking) --active_;
  fetch.state = state;
  if (state == State::waiting) waiting_.emplace(fetch.start_no, id);
  if (state == State::asking) ++active_;
}

void BlobFetch::begin(Time now, const BlobId& id, Fetch& fetch) {
  fetch.retry_at.reset();
  verify_if_whole(id, fetch);
  if (fetch.state == State::verifying) return;
  if (active_ == 0) ticked_at_ = now;  // deadline() has not asked for ticks before
  fetch.progress_at = now;
  move_to(State::asking, id, fetch);
  fill_window(now, id, fetch);
}

void BlobFetch::fill_window(Time now, const BlobId& id, Fetch& fetch) {
  while (fetch.asked.size() < settings_.window) {
    std::uint64_t offset = fetch.next;
    if (!fetch.missed.empty()) {
      offset = fetch.missed.extract(fetch.missed.begin()).value();
    } else if (fetch.next < fetch.size) {
      fetch.next += length_at(fetch, offset);
    } else {
      return;
    }
    fetch.asked.emplace(offset, now);
    actions_.push_back(wire::Get{fetch.holders.front(), id, offset, length_at(fetch, offset)});
  }
}

void BlobFetch::verify_if_whole(const BlobId& id, Fetch& fetch) {
  if (fetch.stored < fetch.size) return;
  move_to(State::verifying, id, fetch);
  actions_.push_back(VerifyBlob{id, fetch.size});
}

/// Moves the open GETs to `missed`, so that their chunks will be asked for again.
void BlobFetch::close_window(const BlobId& id, Fetch& fetch) {
  for (const auto& [offset, since] : fetch.asked) fetch.missed.insert(offset);
  fetch.asked.clear();
  move_to(State::waiting, id, fetch);
}

void BlobFetch::retry_later(Time now, const BlobId& id, Fetch& fetch) {
  close_window(id, fetch);
  fetch.retry_at = now + settings_.retry;
  std::rotate(fetch.holders.begin(), fetch.holders.begin() + 1, fetch.holders.end());
}

void BlobFetch::count_gone(Time now, const BlobId& id, Fetch& fetch, const std::string& reason) {
  heard_at_ = now;
  retry_later(now, id, fetch);
  if (!fetch.gone_since) fetch.gone_since = now;
  if (now < *fetch.gone_since + settings_.give_up) return;
  fetch.gone_since.reset();
  actions_.push_back(Failed{id, Failed::Cause::gone, reason});
}

void BlobFetch::count_failure(const BlobId& id, Fetch& fetch, Failed::Cause cause,
                              const std::string& reason) {
  if (++fetch.failures < settings_.tries) return;
  fetch.failures = 0;
  actions_.push_back(Failed{id, cause, reason});
}

std::uint32_t BlobFetch::length_at(const Fetch& fetch, std::uint64_t offset) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(settings_.chunk_bytes, fetch.size - offset));
}

void BlobFetch::check_invariants() const {
  std::size_t active = 0;
  std::size_t waiting = 0;
  for (const auto& [id, fetch] : fetches_) {
    const bool asking = fetch.state == State::asking;
    active += asking;
    waiting += fetch.state == State::waiting;
    WEFT_CHECK(asking == !fetch.asked.empty());
    WEFT_CHECK(!asking || connected_);
    WEFT_CHECK(fetch.asked.size() <= settings_.window);
    WEFT_CHECK((fetch.state == State::waiting) == waiting_.contains(fetch.start_no));
    WEFT_CHECK((fetch.state == State::verifying) == (fetch.stored == fetch.size) || fetch.size == 0);
    WEFT_CHECK(!fetch.holders.empty());
  }
  WEFT_CHECK(active == active_ && active_ <= settings_.active_max);
  WEFT_CHECK(waiting == waiting_.size());
}

}  // namespace weft
