// SPDX-License-Identifier: MIT
#include "broker/scheduler/heartbeats.hpp"

namespace weft::broker {

std::vector<PeerId> Heartbeats::scan() {
  next_scan_ = tables_.step.now() + settings_.heartbeat_interval / 2;
  std::vector<PeerId> silent;
  tables_.roster.peers().for_each([&](PeerId id, const Peer& peer) {
    if (tables_.step.now() - peer.heard >= silence_max()) {
      if (peer.session == nullptr || peer.session->state == SessionState::connected) silent.push_back(id);
    } else if (tables_.step.now() - peer.sent >= settings_.heartbeat_interval) {
      tables_.step.send(id, wire::Heartbeat{});
    }
  });
  return silent;
}

}  // namespace weft::broker
