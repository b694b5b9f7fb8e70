// SPDX-License-Identifier: MIT
#include "broker/scheduler/delivery.hpp"

#include <algorithm>

namespace weft::broker {

namespace {

constexpr std::size_t kSeqsMax = 50'000;  // in one JOURNALED

/// Whether something of a detached task is not in the journal yet.
bool is_unsaved(const Session& session, std::uint64_t seq) {
  const auto entry = session.detached.find(seq);
  return entry != session.detached.end() && entry->second.unsaved();
}

/// Approximate bytes of this broker's memory that a session takes.
std::size_t memory_of(const Session& session) {
  constexpr std::size_t kTaskBytes = 200;  // besides its payload
  return session.queued_bytes + session.deliveries.bytes() + session.tasks.size() * kTaskBytes;
}

}  // namespace

// ---- answers ----

void Delivery::deliver(Session& session, wire::DeliveryRecord record) {
  if (session.state == SessionState::ending || session.state == SessionState::detached) return;
  session.deliveries.add(std::move(record));
  fair_queue_.update(session);
  mark_dirty(session);
}

void Delivery::acknowledge(Session& session, std::uint64_t delivered) {
  session.deliveries.acknowledge(delivered);
  flush_releases(session);
  fair_queue_.update(session);
}

void Delivery::restart(Session& session) {
  session.deliveries.restart();
  session.releases.restart();
  session.journaled_unsent.clear();
}

void Delivery::tell_journaled(Session& session, std::uint64_t seq) {
  session.journaled_unsent.push_back(seq);
  mark_dirty(session);
}

void Delivery::send_journaled(Session& session) {
  for (auto from = session.journaled_unsent.begin(); from != session.journaled_unsent.end();) {
    const auto to = from + std::min<std::ptrdiff_t>(session.journaled_unsent.end() - from, kSeqsMax);
    step_.send(session.peer, wire::Journaled{{from, to}});
    from = to;
  }
  session.journaled_unsent.clear();
}

// ---- results that workers hold in escrow ----

void Delivery::release_after_deliveries(Session& session, const Worker& worker, std::uint64_t outbox,
                                        std::uint64_t seq) {
  const bool unsaved = is_unsaved(session, seq);
  if (session.deliveries.empty() && session.releases.empty() && !unsaved)
    return step_.send(worker.peer, wire::Release{session.id, outbox});
  session.releases.add({session.deliveries.last(), unsaved ? seq : 0, worker.peer, outbox});
}

void Delivery::flush_releases(Session& session) {
  constexpr std::size_t kAtATime = 1024;
  const auto is_saved = [&](std::uint64_t seq) { return !is_unsaved(session, seq); };
  const auto due = [&] { return session.releases.due(session.deliveries.acknowledged(), is_saved); };
  while (due() != nullptr) {
    for (const PendingRelease* next = due(); next != nullptr && releasing_.size() < kAtATime; next = due()) {
      if (const Peer* peer = roster_.peers().find(next->peer))
        releasing_.emplace_back(peer->worker, next->outbox);
      session.releases.pop();
    }
    // Separate loops over many workers, so that cache misses overlap. Releases are coalesced: the last outbox
    // entry of a worker covers those before it.
    for (const auto& [worker, outbox] : releasing_) worker->releasing = std::max(worker->releasing, outbox);
    for (const auto& [worker, outbox] : releasing_) {
      if (const std::uint64_t last = std::exchange(worker->releasing, 0); last != 0)
        step_.send(worker->peer, wire::Release{session.id, last});
    }
    releasing_.clear();
  }
}

// ---- flow control of submits ----

void Delivery::schedule_received(Session& session) {
  session.received_withheld = true;
  if (session.unreceived >= settings_.received_bytes) send_received(session);
}

void Delivery::send_received(Session& session) {
  if (!session.received_withheld || session.peer == kNoPeer) return;
  const auto& sessions = roster_.sessions();
  std::size_t held = 0;
  for (const auto& [id, other] : sessions) held += memory_of(*other);
  const std::size_t budget = settings_.memory_budget;
  if (held > budget && memory_of(session) > budget / sessions.size()) return;
  session.received_withheld = false;
  session.unreceived = 0;
  step_.send(session.peer, wire::Received{session.received});
}

// ---- the end of a step ----

void Delivery::mark_dirty(Session& session) {
  if (session.dirty) return;
  session.dirty = true;
  dirty_.push_back(&session);
}

std::vector<Session*> Delivery::take_dirty() {
  for (Session* session : dirty_) session->dirty = false;
  return std::exchange(dirty_, {});
}

void Delivery::pump(Session& session) {
  if (session.peer == kNoPeer) return;
  send_journaled(session);
  wire::Deliver batch = session.deliveries.take(settings_.delivery_bytes_max);
  if (batch.records.empty()) return;
  send_received(session);
  step_.send(session.peer, std::move(batch));
}

}  // namespace weft::broker
