// SPDX-License-Identifier: MIT
#include "client/blob_puller.hpp"

#include <algorithm>

#include "common/check.hpp"

namespace weft::client {

void BlobPuller::ask(const Pull& pull, std::uint64_t offset, Actions& actions) {
  const std::uint64_t bytes = std::min<std::uint64_t>(wire::kChunkBytes, pull.ref.size - offset);
  actions.push_back(Send{wire::Get{.holder = pull.ref.holder,
                                   .id = pull.ref.id,
                                   .offset = offset,
                                   .bytes = static_cast<std::uint32_t>(bytes)}});
}

void BlobPuller::ask_more(Pull& pull, Actions& actions) {
  while (pull.under_way.size() < wire::kChunksInFlight && pull.next < pull.ref.size) {
    ask(pull, pull.next, actions);
    pull.under_way.insert(pull.next);
    pull.next += wire::kChunkBytes;
  }
}

void BlobPuller::add(std::uint64_t seq, const wire::BlobRef& ref, bool joined, Actions& actions) {
  auto [it, inserted] = pulls_.try_emplace(ref.id);
  it->second.needers.push_back({seq, ref.holder});
  if (!inserted) return;  // equal results are fetched once
  it->second.ref = ref;
  if (joined) ask_more(it->second, actions);
  verify_if_whole(it->second, actions);
}

void BlobPuller::verify_if_whole(Pull& pull, Actions& actions) {
  if (!pull.under_way.empty() || pull.next < pull.ref.size) return;
  pull.verifying = true;
  actions.push_back(VerifyBlob{pull.ref.id});
}

void BlobPuller::remove(std::uint64_t seq, const BlobId& id, Actions& actions) {
  const auto it = pulls_.find(id);
  if (it == pulls_.end()) return;
  std::erase_if(it->second.needers, [&](const Needer& needer) { return needer.seq == seq; });
  if (!it->second.needers.empty()) return;
  pulls_.erase(it);
  actions.push_back(DropBlob{id});
}

void BlobPuller::on_joined(Actions& actions) {
  for (auto& [id, pull] : pulls_) {
    // Away is no time in which the holder was seen to be gone: it may be on its way back too.
    pull.gone_since.reset();
    pull.retry_at.reset();
    for (const std::uint64_t offset : pull.under_way) ask(pull, offset, actions);
    ask_more(pull, actions);
  }
}

void BlobPuller::on_data(const wire::Data& data, bool joined, Actions& actions) {
  const auto it = pulls_.find(data.id);
  if (it == pulls_.end()) return;  // was cancelled
  Pull& pull = it->second;
  const auto chunk = pull.under_way.find(data.offset);
  if (chunk == pull.under_way.end()) return;  // came before
  const std::uint64_t expected = std::min<std::uint64_t>(wire::kChunkBytes, pull.ref.size - data.offset);
  if (data.bytes.size() != expected) return;  // of no use; the others show that it is another blob
  pull.under_way.erase(chunk);
  pull.gone_since.reset();
  actions.push_back(
      StoreChunk{.id = data.id, .size = pull.ref.size, .offset = data.offset, .bytes = data.bytes});
  if (joined) ask_more(pull, actions);
  verify_if_whole(pull, actions);
}

std::vector<BlobPuller::Needer> BlobPuller::on_gone(Time now, const wire::Gone& gone, Actions& actions) {
  const auto it = pulls_.find(gone.id);
  if (it == pulls_.end() || it->second.verifying) return {};
  Pull& pull = it->second;
  if (!pull.gone_since) pull.gone_since = now;
  if (now >= *pull.gone_since + settings_.give_up) {
    actions.push_back(DropBlob{gone.id});
    return finish(gone.id);
  }
  if (!pull.retry_at) pull.retry_at = now + settings_.retry;
  return {};
}

std::vector<BlobPuller::Needer> BlobPuller::on_verified(const BlobId& id) {
  const auto it = pulls_.find(id);
  return it != pulls_.end() && it->second.verifying ? finish(id) : std::vector<Needer>{};
}

std::vector<BlobPuller::Needer> BlobPuller::finish(const BlobId& id) {
  const auto it = pulls_.find(id);
  if (it == pulls_.end()) return {};
  std::vector<Needer> needers = std::move(it->second.needers);
  pulls_.erase(it);
  return needers;
}

void BlobPuller::tick(Time now, bool joined, Actions& actions) {
  for (auto& [id, pull] : pulls_) {
    if (!pull.retry_at || now < *pull.retry_at) continue;
    pull.retry_at.reset();
    if (!joined) continue;  // on_joined() will ask
    // Another task may have made the same bytes elsewhere: whoever has them will do.
    const auto asked = std::find_if(pull.needers.begin(), pull.needers.end(),
                                    [&](const Needer& needer) { return needer.holder == pull.ref.holder; });
    const auto next =
        asked == pull.needers.end() || asked + 1 == pull.needers.end() ? pull.needers.begin() : asked + 1;
    pull.ref.holder = next->holder;
    for (const std::uint64_t offset : pull.under_way) ask(pull, offset, actions);
  }
}

std::optional<Time> BlobPuller::deadline() const {
  std::optional<Time> due;
  for (const auto& [id, pull] : pulls_) due = earlier(due, pull.retry_at);
  return due;
}

bool BlobPuller::needs(std::uint64_t seq, const BlobId& id) const {
  const auto it = pulls_.find(id);
  return it != pulls_.end() && std::any_of(it->second.needers.begin(), it->second.needers.end(),
                                           [&](const Needer& needer) { return needer.seq == seq; });
}

void BlobPuller::check_invariants() const {
  for (const auto& [id, pull] : pulls_) {
    WEFT_CHECK(pull.under_way.size() <= wire::kChunksInFlight);
    WEFT_CHECK(!pull.needers.empty());
    WEFT_CHECK(!pull.verifying || (pull.under_way.empty() && pull.next >= pull.ref.size));
  }
}

}  // namespace weft::client
