// SPDX-License-Identifier: MIT
#include "worker/core/blob_table.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace weft::worker {

// ---- blobs that are needed here ----

bool BlobTable::need_file(const wire::FileRef& file, const Uuid& holder, Actions& actions) {
  return need({holder, file.id, file.size}, file.name, actions);
}

bool BlobTable::need_argument(const wire::BlobRef& argument, Actions& actions) {
  return need(argument, "", actions);
}

bool BlobTable::need(const wire::BlobRef& ref, const std::string& name, Actions& actions) {
  Blob& blob = blobs_[ref.id];
  ++blob.needed;
  stop_retaining(blob);
  if (blob.state == State::ready) return true;
  // Several clients may ship the same program: should the first one leave, the next is asked.
  if (std::find(blob.holders.begin(), blob.holders.end(), ref.holder) == blob.holders.end())
    blob.holders.push_back(ref.holder);
  if (blob.state == State::fetching) fetch_of(blob).add_holder(ref.id, ref.holder);
  if (blob.state == State::absent) {
    if (blob.results.empty()) blob.size = ref.size;
    blob.name = name;
    find(ref.id, blob, actions);
  }
  return false;
}

void BlobTable::find(const BlobId& id, Blob& blob, Actions& actions) {
  blob.state = State::finding;
  actions.push_back(FindBlob{id, blob.size, blob.name});
}

void BlobTable::fail(const BlobId& id, Blob& blob, const std::string& reason) {
  blob.state = State::absent;
  blob.holders.clear();
  settled_.push_back({id, false, reason});
}

void BlobTable::unneed(const BlobId& id, Actions& actions) {
  const auto row = blobs_.find(id);
  WEFT_CHECK(row != blobs_.end() && row->second.needed > 0);
  Blob& blob = row->second;
  if (--blob.needed > 0) return;
  if (blob.state == State::ready) return retain(row, actions);
  if (blob.state == State::absent && blob.results.empty()) {  // the fetch failed: there are no bytes to drop
    blobs_.erase(row);
    return;
  }
  if (blob.state == State::fetching) fetch_of(blob).remove(id);
  blob.state = State::absent;
  blob.holders.clear();
  release(row, actions);
}

// ---- pins ----

/// Drops the bytes of a blob that is no longer pinned. Returns the next row.
BlobTable::Row BlobTable::release(Row row, Actions& actions) {
  const Blob& blob = row->second;
  const bool uses_bytes = blob.needed > 0 && blob.state != State::absent;
  if (uses_bytes || !blob.results.empty() || blob.recent_no != 0) return std::next(row);
  actions.push_back(DropBlob{row->first});
  return blob.needed > 0 ? std::next(row) : blobs_.erase(row);
}

void BlobTable::retain(Row row, Actions& actions) {
  row->second.recent_no = ++recent_last_;
  recent_.emplace(recent_last_, row);
  recent_bytes_ += row->second.size;
  while (recent_bytes_ > settings_.recent_bytes_max) {
    const Row oldest = recent_.begin()->second;
    stop_retaining(oldest->second);
    release(oldest, actions);
  }
}

void BlobTable::stop_retaining(Blob& blob) {
  if (blob.recent_no == 0) return;
  recent_.erase(std::exchange(blob.recent_no, 0));
  recent_bytes_ -= blob.size;
}

// ---- results ----

BlobTable::Row BlobTable::on_made(const wire::BlobRef& result, Actions& actions) {
  const auto row = blobs_.try_emplace(result.id).first;
  Blob& blob = row->second;
  if (blob.state == State::ready) return row;
  blob.size = result.size;
  if (blob.state == State::fetching) {
    fetch_of(blob).remove(result.id);
    find(result.id, blob, actions);
  }
  return row;
}

void BlobTable::add_result(const Uuid& session, const wire::BlobRef& result, Actions& actions) {
  ++on_made(result, actions)->second.results[session];
}

void BlobTable::discard_result(const wire::BlobRef& result, Actions& actions) {
  release(on_made(result, actions), actions);
}

void BlobTable::drop_result(const BlobId& id, Actions& actions) {
  const auto row = blobs_.find(id);
  if (row == blobs_.end() || row->second.results.empty()) return;  // the session has ended
  // DROP does not name a session. Should this remove the pin of another session, its client announces the
  // task again.
  auto& results = row->second.results;
  if (--results.begin()->second == 0) results.erase(results.begin());
  release(row, actions);
}

void BlobTable::end_session(const Uuid& session, Actions& actions) {
  for (auto row = blobs_.begin(); row != blobs_.end();) {
    row = row->second.results.erase(session) > 0 ? release(row, actions) : std::next(row);
  }
}

void BlobTable::serve(const wire::Get& get, Actions& actions) const {
  const auto row = blobs_.find(get.id);
  if (row == blobs_.end() || row->second.results.empty()) {
    actions.push_back(Send{wire::Gone{get.id, "the worker no longer has this result"}});
    return;
  }
  const std::uint64_t size = row->second.size;
  if (get.bytes == 0 || get.bytes > wire::kChunkBytes || get.offset >= size ||
      get.bytes > size - get.offset) {
    actions.push_back(Send{wire::Gone{get.id, "the blob has no such range"}});
    return;
  }
  actions.push_back(ServeChunk{get});
}

bool BlobTable::has_results() const {
  return std::any_of(blobs_.begin(), blobs_.end(),
                     [](const auto& row) { return !row.second.results.empty(); });
}

bool BlobTable::has_results_of(const Uuid& session) const {
  return std::any_of(blobs_.begin(), blobs_.end(),
                     [&](const auto& row) { return row.second.results.contains(session); });
}

// ---- from the shell ----

void BlobTable::on_ready(const BlobId& id) {
  const auto row = blobs_.find(id);
  if (row == blobs_.end()) return;
  Blob& blob = row->second;
  if (blob.state == State::fetching && fetch_of(blob).is_verifying(id)) {
    fetch_of(blob).on_good(id);
  } else if (blob.state != State::finding) {
    return;
  }
  blob.state = State::ready;
  blob.holders.clear();
  settled_.push_back({id, true, ""});
}

void BlobTable::on_missing(const BlobId& id, Actions& actions) {
  const auto row = blobs_.find(id);
  if (row == blobs_.end() || row->second.state != State::finding) return;
  Blob& blob = row->second;
  if (!blob.results.empty()) return find(id, blob, actions);  // a task has made the blob since
  blob.state = State::fetching;
  fetch_of(blob).start(id, blob.size, blob.holders);
}

void BlobTable::on_bad(Time now, const BlobId& id, const std::string& reason) {
  const auto row = blobs_.find(id);
  if (row == blobs_.end()) return;
  Blob& blob = row->second;
  if (blob.state == State::finding) fail(id, blob, reason);
  if (blob.state == State::fetching) fetch_of(blob).on_bad(now, id, reason);
}

// ---- from the broker ----

void BlobTable::on_data(Time now, const wire::Data& data) {
  file_fetch_.on_data(now, data);
  argument_fetch_.on_data(now, data);
}

void BlobTable::on_gone(Time now, const wire::Gone& gone) {
  file_fetch_.on_gone(now, gone);
  argument_fetch_.on_gone(now, gone);
}

void BlobTable::on_joined() {
  file_fetch_.on_joined();
  argument_fetch_.on_joined();
}

void BlobTable::on_lost() {
  file_fetch_.on_lost();
  argument_fetch_.on_lost();
}

// ---- time ----

void BlobTable::tick(Time now) {
  file_fetch_.tick(now);
  argument_fetch_.tick(now);
}

std::optional<Time> BlobTable::deadline() const {
  return earlier(file_fetch_.deadline(), argument_fetch_.deadline());
}

void BlobTable::perform(Time now, Actions& actions) {
  perform(now, file_fetch_, actions);
  perform(now, argument_fetch_, actions);
}

void BlobTable::perform(Time now, BlobFetch& fetch, Actions& actions) {
  for (BlobFetch::Action& action : fetch.take(now)) {
    if (auto* get = std::get_if<wire::Get>(&action)) {
      actions.push_back(Send{*get});
    } else if (auto* chunk = std::get_if<StoreChunk>(&action)) {
      actions.push_back(std::move(*chunk));
    } else if (const auto* verify = std::get_if<VerifyBlob>(&action)) {
      actions.push_back(*verify);
    } else if (const auto* failed = std::get_if<BlobFetch::Failed>(&action)) {
      if (failed->cause != BlobFetch::Failed::Cause::bad) actions.push_back(DropBlob{failed->id});
      fetch.remove(failed->id);
      fail(failed->id, blobs_.at(failed->id), failed->reason);
    }
  }
}

void BlobTable::check_invariants() const {
  std::size_t recent = 0;
  std::uint64_t recent_bytes = 0;
  for (const auto& [id, blob] : blobs_) {
    WEFT_CHECK(blob.needed > 0 || !blob.results.empty() || blob.recent_no != 0);
    if (blob.recent_no != 0) {
      WEFT_CHECK(blob.needed == 0 && blob.state == State::ready);
      WEFT_CHECK(recent_.at(blob.recent_no)->first == id);
      ++recent;
      recent_bytes += blob.size;
    }
    if (blob.state == State::finding || blob.state == State::fetching)
      WEFT_CHECK(blob.needed > 0 && !blob.holders.empty());
    if (blob.state == State::fetching) WEFT_CHECK(blob.results.empty());
    const bool is_file = !blob.name.empty();
    WEFT_CHECK(file_fetch_.contains(id) == (blob.state == State::fetching && is_file));
    WEFT_CHECK(argument_fetch_.contains(id) == (blob.state == State::fetching && !is_file));
  }
  WEFT_CHECK(recent == recent_.size() && recent_bytes == recent_bytes_);
  WEFT_CHECK(recent_bytes_ <= settings_.recent_bytes_max);
  file_fetch_.check_invariants();
  argument_fetch_.check_invariants();
}

}  // namespace weft::worker
