// SPDX-License-Identifier: MIT
#include "client/core/fetcher.hpp"

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"

namespace weft::client {

void Fetcher::add(Time now, std::uint64_t seq, const wire::BlobRef& ref, Actions& actions) {
  needers_[ref.id].push_back({seq, ref.holder});
  if (fetch_.contains(ref.id)) {
    fetch_.add_holder(ref.id, ref.holder);  // a task of this holder has made the same bytes
  } else {
    fetch_.start(ref.id, ref.size, {ref.holder});
  }
  perform(now, actions);
}

void Fetcher::remove(Time now, std::uint64_t seq, const BlobId& id, Actions& actions) {
  const auto found = needers_.find(id);
  if (found == needers_.end()) return;
  std::vector<Needer>& needers = found->second;
  const auto needer =
      std::find_if(needers.begin(), needers.end(), [&](const Needer& n) { return n.seq == seq; });
  if (needer == needers.end()) return;
  const Uuid holder = needer->holder;
  needers.erase(needer);
  if (needers.empty()) {
    needers_.erase(found);
    fetch_.remove(id);
    actions.push_back(DropBlob{id});
  } else if (std::none_of(needers.begin(), needers.end(),
                          [&](const Needer& n) { return n.holder == holder; })) {
    fetch_.remove_holder(id, holder);  // DROP for the blob is about to be sent to this holder
  }
  perform(now, actions);
}

void Fetcher::on_joined(Time now, Actions& actions) {
  fetch_.on_joined();
  perform(now, actions);
}

void Fetcher::on_data(Time now, const wire::Data& data, Actions& actions) {
  fetch_.on_data(now, data);
  perform(now, actions);
}

void Fetcher::on_gone(Time now, const wire::Gone& gone, Actions& actions) {
  fetch_.on_gone(now, gone);
  perform(now, actions);
}

std::vector<Fetcher::Needer> Fetcher::on_ready(const BlobReady& event) {
  if (!fetch_.is_verifying(event.id)) return {};  // the answer to an earlier fetch
  return settle(event.id);
}

std::vector<Fetcher::Needer> Fetcher::on_bad(Time now, const BlobBad& event, Actions& actions) {
  if (!fetch_.is_verifying(event.id)) return {};
  if (event.no_room) return settle(event.id);
  fetch_.on_bad(now, event.id, event.reason);
  perform(now, actions);
  return {};
}

/// Ends the fetch of a blob; returns the tasks that need it.
std::vector<Fetcher::Needer> Fetcher::settle(const BlobId& id) {
  fetch_.on_good(id);
  return std::move(needers_.extract(id).mapped());
}

void Fetcher::tick(Time now, Actions& actions) {
  fetch_.tick(now);
  perform(now, actions);
}

void Fetcher::perform(Time now, Actions& actions) {
  for (BlobFetch::Action& action : fetch_.take(now)) {
    if (auto* get = std::get_if<wire::Get>(&action)) {
      actions.push_back(Send{*get});
    } else if (auto* chunk = std::get_if<StoreChunk>(&action)) {
      actions.push_back(std::move(*chunk));
    } else if (const auto* verify = std::get_if<VerifyBlob>(&action)) {
      actions.push_back(*verify);
    } else if (auto* failed = std::get_if<BlobFetch::Failed>(&action)) {
      using Cause = BlobFetch::Failed::Cause;
      if (failed->cause != Cause::bad) actions.push_back(DropBlob{failed->id});
      fetch_.remove(failed->id);
      lost_.push_back({failed->id, std::move(needers_.extract(failed->id).mapped()),
                       std::move(failed->reason), failed->cause == Cause::silent});
    }
  }
}

bool Fetcher::needs(std::uint64_t seq, const BlobId& id) const {
  const auto found = needers_.find(id);
  return found != needers_.end() && std::any_of(found->second.begin(), found->second.end(),
                                                [&](const Needer& needer) { return needer.seq == seq; });
}

void Fetcher::clear() {
  fetch_.clear();
  needers_.clear();
  lost_.clear();
}

void Fetcher::check_invariants() const {
  for (const auto& [id, needers] : needers_) {
    WEFT_CHECK(!needers.empty());
    WEFT_CHECK(fetch_.contains(id));
  }
  fetch_.check_invariants();
}

}  // namespace weft::client
