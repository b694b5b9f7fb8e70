// SPDX-License-Identifier: MIT
#include "worker/core/fetcher.hpp"

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"

namespace weft::worker {

namespace {

constexpr std::array kPlaces = {BlobPlace::file, BlobPlace::argument};

}  // namespace

// ---- users ----

bool Fetcher::want(const BlobKey& key, const wire::BlobRef& ref, const std::string& name, Actions& actions) {
  Blob& blob = blobs_[key];
  ++blob.users;
  if (blob.idle_since != 0) {
    idle_bytes_ -= blob.size;
    blob.idle_since = 0;
  }
  switch (blob.state) {
    case State::ready:
      return true;
    case State::fetching:
      // Several clients may ship the same program: should the first one leave, the next is asked.
      fetch_for(key.place).add_holder(key.id, ref.holder);
      return false;
    case State::finding:
      if (std::find(blob.holders.begin(), blob.holders.end(), ref.holder) == blob.holders.end())
        blob.holders.push_back(ref.holder);
      return false;
    case State::absent:
      blob.state = State::finding;
      blob.size = ref.size;
      blob.name = name;
      blob.holders = {ref.holder};
      actions.push_back(FindBlob{key, ref.size, name});
      return false;
  }
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
  if (blob.state == State::fetching) fetch_for(key.place).remove(key.id);
  if (blob.state != State::absent) actions.push_back(AbandonBlob{key});
  blobs_.erase(found);
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

void Fetcher::fail(const BlobKey& key, Blob& blob, const std::string& text) {
  blob.state = State::absent;
  settled_.push_back({key, false, text});
}

std::vector<Fetcher::Settled> Fetcher::take_settled() { return std::exchange(settled_, {}); }

// ---- from the shell ----

void Fetcher::on_ready(Time now, const BlobKey& key, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end()) return;
  Blob& blob = found->second;
  if (blob.state != State::finding) {
    if (blob.state != State::fetching || !fetch_for(key.place).is_verifying(key.id)) return;
    fetch_for(key.place).on_good(key.id);
  }
  blob.state = State::ready;
  settled_.push_back({key, true, ""});
  perform_all(now, actions);
}

void Fetcher::on_missing(Time now, const BlobKey& key, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end() || found->second.state != State::finding) return;
  Blob& blob = found->second;
  blob.state = State::fetching;
  fetch_for(key.place).start(key.id, blob.size, std::move(blob.holders));
  perform_all(now, actions);
}

void Fetcher::on_bad(Time now, const BlobKey& key, const std::string& text, Actions& actions) {
  const auto found = blobs_.find(key);
  if (found == blobs_.end()) return;
  Blob& blob = found->second;
  if (blob.state == State::finding) fail(key, blob, text);
  if (blob.state == State::fetching) fetch_for(key.place).on_bad(now, key.id, text);
  perform_all(now, actions);
}

// ---- from the broker ----

void Fetcher::on_data(Time now, const wire::Data& data, Actions& actions) {
  for (BlobFetch& fetch : fetches_) fetch.on_data(now, data);
  perform_all(now, actions);
}

void Fetcher::on_gone(Time now, const wire::Gone& gone, Actions& actions) {
  for (BlobFetch& fetch : fetches_) fetch.on_gone(now, gone);
  perform_all(now, actions);
}

void Fetcher::on_joined(Time now, Actions& actions) {
  for (BlobFetch& fetch : fetches_) fetch.on_joined();
  perform_all(now, actions);
}

void Fetcher::on_lost() {
  for (BlobFetch& fetch : fetches_) fetch.on_lost();
}

// ---- time ----

void Fetcher::tick(Time now, Actions& actions) {
  for (BlobFetch& fetch : fetches_) fetch.tick(now);
  perform_all(now, actions);
}

std::optional<Time> Fetcher::deadline() const {
  return earlier(fetches_[0].deadline(), fetches_[1].deadline());
}

void Fetcher::perform_all(Time now, Actions& actions) {
  for (const BlobPlace place : kPlaces) perform(now, place, actions);
}

void Fetcher::perform(Time now, BlobPlace place, Actions& actions) {
  for (BlobFetch::Action& action : fetch_for(place).take(now)) {
    if (auto* get = std::get_if<wire::Get>(&action)) {
      actions.push_back(Send{*get});
    } else if (auto* chunk = std::get_if<weft::StoreChunk>(&action)) {
      actions.push_back(StoreChunk{{place, chunk->id}, chunk->offset, std::move(chunk->bytes)});
    } else if (const auto* verify = std::get_if<weft::VerifyBlob>(&action)) {
      actions.push_back(AdmitBlob{{place, verify->id}});
    } else if (const auto* failed = std::get_if<BlobFetch::Failed>(&action)) {
      const BlobKey key{place, failed->id};
      if (failed->cause != BlobFetch::Failed::Cause::bad) actions.push_back(AbandonBlob{key});
      fetch_for(place).remove(key.id);
      fail(key, blobs_.at(key), failed->reason);
    }
  }
}

void Fetcher::check_invariants() const {
  std::uint64_t idle = 0;
  for (const auto& [key, blob] : blobs_) {
    WEFT_CHECK((blob.users == 0) == (blob.idle_since != 0));
    WEFT_CHECK(blob.users > 0 || blob.state == State::ready);
    const BlobFetch& fetch = fetches_.at(static_cast<std::size_t>(key.place));
    WEFT_CHECK((blob.state == State::fetching) == fetch.contains(key.id));
    if (blob.idle_since != 0) idle += blob.size;
  }
  WEFT_CHECK(idle == idle_bytes_);
  for (const BlobFetch& fetch : fetches_) fetch.check_invariants();
}

}  // namespace weft::worker
