// SPDX-License-Identifier: MIT
#include "worker/fetcher.hpp"

#include <algorithm>
#include <utility>

#include "common/check.hpp"

namespace weft::worker {

bool Fetcher::want(Time now, const BlobKey& key, const wire::BlobRef& ref, const std::string& name,
                   Actions& actions) {
  Blob& blob = blobs_[key];
  ++blob.users;
  if (blob.idle_since != 0) {
    idle_bytes_ -= blob.size;
    blob.idle_since = 0;
  }
  if (blob.state == State::ready) return true;
  // Several clients may ship the same program: should the first one leave, the next is asked.
  if (std::find(blob.holders.begin(), blob.holders.end(), ref.holder) == blob.holders.end())
    blob.holders.push_back(ref.holder);
  if (blob.state != State::absent) return false;
  blob.state = State::finding;
  blob.size = ref.size;
  blob.name = name;
  blob.progress_at = now;
  actions.push_back(FindBlob{key, ref.size, name});
  return false;
}

void Fetcher::unwant(const BlobKey& key, Actions& actions) {
  const auto found = blobs_.find(key);
  WEFT_CHECK(found != blobs_.end() && found->second.users > 0);
  Blob& blob = found->second;
  if (--blob.users > 0) return;
  if (blob.state == State::ready) {
    blob.idle_since = ++idle_counter_;
    idle_bytes_ += blob.size;
    trim_idle(actions);
    return;
  }
  if (blob.state != State::absent) actions.push_back(AbandonBlob{key});
  blobs_.erase(found);
  room_ = true;
}

void Fetcher::use_room(Time now, Actions& actions) {
  if (std::exchange(room_, false)) ask(now, actions);
}

void Fetcher::trim_idle(Actions& actions) {
  while (idle_bytes_ > settings_.idle_bytes_max) {
    auto oldest = blobs_.end();
    for (auto it = blobs_.begin(); it != blobs_.end(); ++it) {
      if (it->second.idle_since == 0) continue;
      if (oldest == blobs_.end() || it->second.idle_since < oldest->second.idle_since) oldest = it;
    }
    WEFT_CHECK(oldest != blobs_.end());
    idle_bytes_ -= oldest->second.size;
    actions.push_back(ReleaseBlob{oldest->first});
    blobs_.erase(oldest);
  }
}

void Fetcher::on_ready(Time now, const BlobKey& key, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end()) return;
  Blob& blob = found->second;
  if (blob.state != State::finding && blob.state != State::checking) return;
  blob.state = State::ready;
  blob.holders.clear();
  settled_.push_back({key, true, ""});
  ask(now, actions);
}

void Fetcher::on_missing(Time now, const BlobKey& key, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end() || found->second.state != State::finding) return;
  Blob& blob = found->second;
  blob.state = State::fetching;
  blob.next = blob.stored = 0;
  blob.asked.clear();
  blob.unasked.clear();
  blob.gone_since = blob.ask_at = std::nullopt;
  blob.progress_at = now;
  if (blob.size == 0) {  // nothing to ask for
    blob.state = State::checking;
    actions.push_back(AdmitBlob{key});
    return;
  }
  ask(now, actions);
}

void Fetcher::on_bad(Time now, const BlobKey& key, const std::string& text, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end() || found->second.state == State::absent || found->second.state == State::ready)
    return;
  fail(key, found->second, text);
  ask(now, actions);
}

void Fetcher::fail(const BlobKey& key, Blob& blob, const std::string& text) {
  blob.state = State::absent;
  blob.asked.clear();
  blob.unasked.clear();
  blob.holders.clear();
  settled_.push_back({key, false, text});
}

void Fetcher::on_data(Time now, const wire::Data& data, Actions& actions) {
  for (const BlobPlace place : {BlobPlace::file, BlobPlace::argument}) {
    const auto found = blobs_.find({place, data.id});
    if (found != blobs_.end() && found->second.state == State::fetching)
      store(now, found->first, found->second, data, actions);
  }
  ask(now, actions);
}

void Fetcher::store(Time now, const BlobKey& key, Blob& blob, const wire::Data& data, Actions& actions) {
  // Not asked for, asked for twice, or of another length: not ours to store.
  if (data.offset >= blob.size || data.bytes.size() != chunk_at(blob, data.offset)) return;
  if (blob.asked.erase(data.offset) + blob.unasked.erase(data.offset) == 0) return;
  blob.stored += data.bytes.size();
  blob.progress_at = now;
  blob.gone_since = blob.ask_at = std::nullopt;
  actions.push_back(StoreChunk{key, data.offset, data.bytes});
  if (blob.stored < blob.size) return;
  blob.state = State::checking;
  actions.push_back(AdmitBlob{key});
}

void Fetcher::on_gone(Time now, const wire::Gone& gone) {
  for (const BlobPlace place : {BlobPlace::file, BlobPlace::argument}) {
    const BlobKey key{place, gone.id};
    const auto found = blobs_.find(key);
    if (found == blobs_.end() || found->second.state != State::fetching) continue;
    Blob& blob = found->second;
    if (blob.asked.empty()) continue;  // one GONE for each GET: the first counted
    blob.unasked.merge(blob.asked);
    if (!blob.gone_since) blob.gone_since = now;
    blob.gone_reason = gone.reason;
    blob.ask_at = now + settings_.ask_again;
    std::rotate(blob.holders.begin(), blob.holders.begin() + 1, blob.holders.end());
  }
}

void Fetcher::on_joined(Time now, Actions& actions) {
  joined_ = true;
  for (auto& [key, blob] : blobs_) {
    if (blob.state != State::fetching) continue;
    blob.unasked.merge(blob.asked);
    blob.gone_since = blob.ask_at = std::nullopt;
    blob.progress_at = now;
  }
  ask(now, actions);
}

void Fetcher::on_lost() {
  joined_ = false;
  for (auto& [key, blob] : blobs_) blob.unasked.merge(blob.asked);
}

void Fetcher::ask(Time now, Actions& actions) {
  if (!joined_) return;
  std::size_t active = 0;
  for (const auto& [key, blob] : blobs_) active += !blob.asked.empty();
  for (auto& [key, blob] : blobs_) {
    if (blob.state != State::fetching || (blob.ask_at && now < *blob.ask_at)) continue;
    if (blob.asked.empty()) {
      if (active >= settings_.active_max) continue;
      ++active;
      blob.progress_at = now;
    }
    ask_for(now, key, blob, actions);
  }
}

void Fetcher::ask_for(Time now, const BlobKey& key, Blob& blob, Actions& actions) {
  if (blob.ask_at && now >= *blob.ask_at) blob.ask_at = std::nullopt;
  while (blob.asked.size() < wire::kChunksInFlight) {
    std::uint64_t offset = blob.next;
    if (!blob.unasked.empty()) {
      offset = *blob.unasked.begin();
      blob.unasked.erase(blob.unasked.begin());
    } else if (blob.next < blob.size) {
      blob.next += chunk_at(blob, blob.next);
    } else {
      return;
    }
    blob.asked.insert(offset);
    actions.push_back(Send{wire::Get{blob.holders.front(), key.id, offset, chunk_at(blob, offset)}});
  }
}

std::uint32_t Fetcher::chunk_at(const Blob& blob, std::uint64_t offset) {
  // Chunks lie at multiples of kChunkBytes; what does not is nobody's answer to a GET of ours.
  if (offset % wire::kChunkBytes != 0) return 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(wire::kChunkBytes, blob.size - offset));
}

void Fetcher::tick(Time now, Actions& actions) {
  if (!joined_) return;
  bool due = false;
  for (auto& [key, blob] : blobs_) {
    if (blob.state != State::fetching) continue;
    if (!blob.asked.empty() && now >= blob.progress_at + settings_.stall) {
      fail(key, blob, "the holder does not answer");
      actions.push_back(AbandonBlob{key});
      due = true;
    } else if (blob.gone_since && now >= *blob.gone_since + settings_.give_up) {
      fail(key, blob, blob.gone_reason);
      actions.push_back(AbandonBlob{key});
      due = true;
    } else if (blob.ask_at && now >= *blob.ask_at) {
      due = true;
    }
  }
  if (due) ask(now, actions);
}

std::optional<Time> Fetcher::deadline() const {
  std::optional<Time> due;
  if (!joined_) return due;
  for (const auto& [key, blob] : blobs_) {
    if (blob.state != State::fetching) continue;
    if (!blob.asked.empty()) due = earlier(due, blob.progress_at + settings_.stall);
    if (blob.gone_since) due = earlier(due, *blob.gone_since + settings_.give_up);
    due = earlier(due, blob.ask_at);
  }
  return due;
}

std::vector<Fetcher::Settled> Fetcher::take_settled() { return std::exchange(settled_, {}); }

void Fetcher::check_invariants() const {
  std::uint64_t idle = 0;
  for (const auto& [key, blob] : blobs_) {
    WEFT_CHECK((blob.users == 0) == (blob.idle_since != 0));
    WEFT_CHECK(blob.users > 0 || blob.state == State::ready);
    WEFT_CHECK(blob.asked.size() <= wire::kChunksInFlight);
    WEFT_CHECK(blob.asked.empty() || (joined_ && blob.state == State::fetching));
    WEFT_CHECK(blob.state != State::fetching || !blob.holders.empty());
    if (blob.idle_since != 0) idle += blob.size;
  }
  WEFT_CHECK(idle == idle_bytes_);
}

}  // namespace weft::worker
