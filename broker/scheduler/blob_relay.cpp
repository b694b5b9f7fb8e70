// SPDX-License-Identifier: MIT
#include "broker/scheduler/blob_relay.hpp"

#include <algorithm>

namespace weft::broker {

void BlobRelay::add_program(const Uuid& holder, const BlobId& id) { programs_[id].holders.insert(holder); }

void BlobRelay::get(PeerId peer, const wire::Get& get, const Reachable& reachable, Outbox& out) {
  if (get.offset % wire::kChunkBytes != 0 || get.bytes > wire::kChunkBytes) {
    out.push_back({peer, {}, wire::Gone{get.id, "chunks begin at multiples of 512 KiB and are not longer"}});
    return;
  }
  const auto program = programs_.find(get.id);
  if (program != programs_.end()) {
    const auto chunk = program->second.chunks.find(get.offset);
    if (chunk != program->second.chunks.end()) {
      out.push_back({peer, {}, wire::Data{get.id, get.offset, chunk->second}});
      return;
    }
  }
  const Key key{get.id, get.offset};
  if (const auto entry = pending_.find(key); entry != pending_.end()) {
    auto& [asked, needers] = entry->second;
    const bool again = std::find(needers.begin(), needers.end(), peer) != needers.end();
    if (!again) needers.push_back(peer);
    if (reachable(asked.holder) != Reach::now) {
      ask_other(entry->second, reachable, Reach::now, out);
    } else if (again && get.holder != asked.holder && reachable(get.holder) == Reach::now) {
      asked.holder = get.holder;  // the peer has given up the previous holder, which is silent
      out.push_back({0, asked.holder, asked});
    }
    return;
  }
  const Reach reach = reachable(get.holder);
  std::optional<Uuid> holder = get.holder;
  if (reach != Reach::now) {
    const Reach better = reach == Reach::never ? Reach::later : Reach::now;
    const auto other = other_holder(get.id, get.holder, reachable, better);
    if (other || reach == Reach::never) holder = other;
  }
  if (!holder) {
    out.push_back({peer, {}, wire::Gone{get.id, "its holder is not connected"}});
    return;
  }
  wire::Get asked = get;
  asked.holder = *holder;
  pending_[key] = Pending{asked, {peer}};
  out.push_back({0, *holder, asked});
}

void BlobRelay::data(const wire::Data& data, Outbox& out) {
  const auto entry = pending_.find({data.id, data.offset});
  if (entry == pending_.end()) return;  // no peer asks for this chunk, or none does any longer
  for (const PeerId needer : entry->second.needers) out.push_back({needer, {}, data});
  pending_.erase(entry);
  if (kept_bytes_ + data.bytes.size() > kept_bytes_max_) return;
  if (const auto program = programs_.find(data.id); program != programs_.end()) {
    if (program->second.chunks.try_emplace(data.offset, data.bytes).second) kept_bytes_ += data.bytes.size();
  }
}

void BlobRelay::gone(const Uuid& holder, const wire::Gone& gone, const Reachable& reachable, Outbox& out) {
  // The holder is not asked again: two holders that have both lost the blob would be asked in turn for ever.
  if (const auto program = programs_.find(gone.id); program != programs_.end())
    program->second.holders.erase(holder);
  for (auto entry = pending_.lower_bound({gone.id, 0});
       entry != pending_.end() && entry->first.first == gone.id;) {
    const auto current = entry++;
    if (current->second.get.holder != holder) continue;
    if (!ask_other(current->second, reachable, Reach::later, out)) give_up(current, gone.reason, out);
  }
}

void BlobRelay::fall_back(const Uuid& holder, const Reachable& reachable, Outbox& out) {
  for (auto& [key, pending] : pending_) {
    if (pending.get.holder == holder) ask_other(pending, reachable, Reach::now, out);
  }
}

/// False: no other holder can be reached.
bool BlobRelay::ask_other(Pending& pending, const Reachable& reachable, Reach at_least, Outbox& out) const {
  const auto other = other_holder(pending.get.id, pending.get.holder, reachable, at_least);
  if (!other) return false;
  pending.get.holder = *other;
  out.push_back({0, *other, pending.get});
  return true;
}

void BlobRelay::resume(const Uuid& holder, Outbox& out) {
  for (const auto& [key, pending] : pending_) {
    if (pending.get.holder == holder) out.push_back({0, holder, pending.get});
  }
}

void BlobRelay::remove_holder(const Uuid& holder, const Reachable& reachable, Outbox& out) {
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    const auto current = entry++;
    if (current->second.get.holder != holder) continue;
    if (!ask_other(current->second, reachable, Reach::later, out))
      give_up(current, "its holder has left", out);
  }
  for (auto program = programs_.begin(); program != programs_.end();) {
    program->second.holders.erase(holder);
    if (!program->second.holders.empty()) {
      ++program;
      continue;
    }
    for (const auto& [offset, bytes] : program->second.chunks) kept_bytes_ -= bytes.size();
    program = programs_.erase(program);
  }
}

void BlobRelay::remove_peer(PeerId peer) {
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    auto& needers = entry->second.needers;
    std::erase(needers, peer);
    entry = needers.empty() ? pending_.erase(entry) : std::next(entry);
  }
}

std::optional<Uuid> BlobRelay::other_holder(const BlobId& id, const Uuid& not_this,
                                            const Reachable& reachable, Reach at_least) const {
  const auto program = programs_.find(id);
  if (program == programs_.end()) return std::nullopt;
  std::optional<Uuid> later;
  for (const Uuid& holder : program->second.holders) {
    const Reach reach = holder == not_this ? Reach::never : reachable(holder);
    if (reach == Reach::now) return holder;
    if (reach >= at_least) later = holder;
  }
  return later;
}

void BlobRelay::give_up(std::map<Key, Pending>::iterator entry, const std::string& reason, Outbox& out) {
  for (const PeerId needer : entry->second.needers)
    out.push_back({needer, {}, wire::Gone{entry->first.first, reason}});
  pending_.erase(entry);
}

}  // namespace weft::broker
