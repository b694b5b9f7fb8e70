// SPDX-License-Identifier: MIT
#include "broker/scheduler/blob_vault.hpp"

#include <utility>

#include "common/base/check.hpp"

namespace weft::broker {

bool BlobVault::retain(const BlobId& id, std::uint64_t size, const Uuid& holder) {
  const auto [entry, added] = blobs_.try_emplace(id);
  Blob& blob = entry->second;
  ++blob.users;
  if (blob.state == State::stored) return true;
  if (added) {
    fetch_.start(id, size, {holder});
  } else {
    fetch_.prefer_holder(id, holder);  // the holder named last is the most likely to be connected
  }
  return false;
}

void BlobVault::release(const BlobId& id, Actions& actions) {
  const auto found = blobs_.find(id);
  WEFT_CHECK(found != blobs_.end() && found->second.users > 0);
  if (--found->second.users > 0 || fetch_.is_verifying(id)) return;  // on_ready() or on_bad() will drop it
  if (found->second.state == State::fetching) fetch_.remove(id);
  actions.push_back(DropBlob{id});
  blobs_.erase(found);
}

bool BlobVault::has(const BlobId& id) const {
  const auto found = blobs_.find(id);
  return found != blobs_.end() && found->second.state == State::stored;
}

void BlobVault::on_data(Time now, const wire::Data& data, Actions& actions) {
  fetch_.on_data(now, data);
  perform(now, actions);
}

void BlobVault::on_gone(Time now, const wire::Gone& gone, Actions& actions) {
  fetch_.on_gone(now, gone);
  perform(now, actions);
}

void BlobVault::on_ready(const BlobReady& event, Actions& actions) {
  if (!fetch_.is_verifying(event.id) || drop_unused(event.id, actions)) return;
  fetch_.on_good(event.id);
  blobs_.at(event.id).state = State::stored;
  settled_.push_back({event.id, ""});
}

void BlobVault::on_bad(Time now, const BlobBad& event, Actions& actions) {
  if (!fetch_.is_verifying(event.id) || drop_unused(event.id, actions)) return;
  fetch_.on_bad(now, event.id, event.reason);
  perform(now, actions);
}

bool BlobVault::drop_unused(const BlobId& id, Actions& actions) {
  if (blobs_.at(id).users > 0) return false;
  fetch_.remove(id);
  blobs_.erase(id);
  actions.push_back(DropBlob{id});
  return true;
}

void BlobVault::collect(Actions& actions) {
  for (auto entry = blobs_.begin(); entry != blobs_.end();) {
    if (entry->second.users > 0) {
      ++entry;
      continue;
    }
    WEFT_CHECK(entry->second.state == State::stored);
    actions.push_back(DropBlob{entry->first});
    entry = blobs_.erase(entry);
  }
}

void BlobVault::tick(Time now, Actions& actions) {
  fetch_.tick(now);
  perform(now, actions);
}

std::vector<wire::Get> BlobVault::take_gets(Time now, Actions& actions) {
  perform(now, actions);
  return std::exchange(gets_, {});
}

void BlobVault::perform(Time now, Actions& actions) {
  for (BlobFetch::Action& action : fetch_.take(now)) {
    if (auto* get = std::get_if<wire::Get>(&action)) {
      gets_.push_back(*get);
    } else if (auto* chunk = std::get_if<StoreChunk>(&action)) {
      actions.push_back(std::move(*chunk));
    } else if (const auto* verify = std::get_if<VerifyBlob>(&action)) {
      if (verify->size == 0) actions.push_back(StoreChunk{verify->id, 0, 0, {}});  // an empty file
      actions.push_back(*verify);
    } else if (auto* failed = std::get_if<BlobFetch::Failed>(&action)) {
      settled_.push_back({failed->id, std::move(failed->reason)});
    }
  }
}

void BlobVault::check_invariants() const {
  for (const auto& [id, blob] : blobs_) {
    WEFT_CHECK((blob.state == State::fetching) == fetch_.contains(id));
    WEFT_CHECK(blob.users > 0 || blob.state == State::stored || fetch_.is_verifying(id));
  }
  fetch_.check_invariants();
}

}  // namespace weft::broker
