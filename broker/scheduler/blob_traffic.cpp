// SPDX-License-Identifier: MIT
#include "broker/scheduler/blob_traffic.hpp"

#include <utility>

namespace weft::broker {

// ---- messages ----

void BlobTraffic::on(PeerId peer, const Uuid& /*holder*/, const wire::Get& get) {
  if (blob_vault_.has(get.id)) {
    step_.actions().push_back(ServeChunk{peer, get});
    return;
  }
  BlobRelay::Outbox outbox;
  relay_.get(peer, get, reachable(), outbox);
  pass_on(outbox);
}

void BlobTraffic::on(PeerId /*peer*/, const Uuid& /*holder*/, const wire::Data& data) {
  BlobRelay::Outbox outbox;
  relay_.data(data, outbox);
  pass_on(outbox);
}

void BlobTraffic::on(PeerId /*peer*/, const Uuid& holder, const wire::Gone& gone) {
  BlobRelay::Outbox outbox;
  relay_.gone(holder, gone, reachable(), outbox);
  pass_on(outbox);
}

void BlobTraffic::on(PeerId /*peer*/, const Uuid& /*holder*/, const wire::Drop& drop) {
  BlobRelay::Outbox outbox{{kNoPeer, drop.holder, drop}};
  pass_on(outbox);
}

// ---- holders ----

void BlobTraffic::fall_back_from(const Uuid& holder) {
  BlobRelay::Outbox outbox;
  relay_.fall_back(holder, reachable(), outbox);
  pass_on(outbox);
}

void BlobTraffic::resume(const Uuid& holder) {
  BlobRelay::Outbox outbox;
  relay_.resume(holder, outbox);
  pass_on(outbox);
}

void BlobTraffic::remove_holder(const Uuid& holder) {
  BlobRelay::Outbox outbox;
  relay_.remove_holder(holder, reachable(), outbox);
  pass_on(outbox);
}

BlobRelay::Reachable BlobTraffic::reachable() const {
  return [this](const Uuid& holder) {
    using Reach = BlobRelay::Reach;
    if (const Session* session = roster_.find_session(holder)) {
      if (session->away()) return Reach::later;
      return session->state == SessionState::connected ? Reach::now : Reach::never;
    }
    if (const Worker* worker = roster_.find_worker(holder))
      return worker->state == WorkerState::lost ? Reach::later : Reach::now;
    // An awaited session, which workers claim: peers wait for its blobs until its client joins or is given
    // up.
    return adoption_.is_awaited(holder) ? Reach::later : Reach::never;
  };
}

// ---- the broker's own vault ----

bool BlobTraffic::fetch_for_vault() {
  const std::vector<wire::Get> gets = blob_vault_.take_gets(step_.now(), step_.actions());
  for (const wire::Get& get : gets) {
    BlobRelay::Outbox outbox;
    relay_.get(BlobRelay::kOwnPeer, get, reachable(), outbox);
    pass_on(outbox);
  }
  return !gets.empty();
}

void BlobTraffic::pass_on(BlobRelay::Outbox& outbox) {
  for (auto& [peer, holder, message] : outbox) {
    PeerId to = peer;
    if (to == BlobRelay::kOwnPeer) {
      if (const auto* data = std::get_if<wire::Data>(&message))
        blob_vault_.on_data(step_.now(), *data, step_.actions());
      if (const auto* gone = std::get_if<wire::Gone>(&message))
        blob_vault_.on_gone(step_.now(), *gone, step_.actions());
      continue;
    }
    if (to == kNoPeer) {
      if (const Session* session = roster_.find_session(holder)) to = session->peer;
      if (const Worker* worker = roster_.find_worker(holder)) to = worker->peer;
    }
    step_.send(to, std::move(message));  // a holder without a connection is asked again when it resumes
  }
}

}  // namespace weft::broker
