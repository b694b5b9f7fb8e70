// SPDX-License-Identifier: MIT
#include "broker/roster.hpp"

#include "common/check.hpp"

namespace weft::broker {

void Roster::check_invariants() const {
  WEFT_CHECK(names_.size() == workers_.size());
  for (const auto& [incarnation, worker] : workers_) {
    WEFT_CHECK(worker->hello.incarnation == incarnation);
    WEFT_CHECK(find_worker_called(worker->hello.name) == worker.get());
  }
  for (const auto& [id, session] : sessions_) WEFT_CHECK(session->id == id);
  peers_.for_each([](PeerId id, const Peer& peer) {
    WEFT_CHECK((peer.session != nullptr) != (peer.worker != nullptr));
    WEFT_CHECK(peer.session == nullptr || peer.session->peer == id);
    WEFT_CHECK(peer.worker == nullptr || peer.worker->peer == id);
  });
}

}  // namespace weft::broker
