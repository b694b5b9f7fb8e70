// SPDX-License-Identifier: MIT
// BlobTraffic: chunks of blobs between peers, and between peers and the broker's own vault. This class knows
// which holder can be reached and on which connection; its BlobRelay decides which holder is asked.
// PROTOCOL.md section 7.
#pragma once

#include "broker/scheduler/adoption.hpp"
#include "broker/scheduler/blob_relay.hpp"
#include "broker/scheduler/blob_vault.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class BlobTraffic {
 public:
  BlobTraffic(const Settings& settings, const Roster& roster, const Adoption& adoption, BlobVault& blob_vault,
              Step& step)
      : roster_(roster),
        adoption_(adoption),
        blob_vault_(blob_vault),
        step_(step),
        relay_(settings.program_bytes_max) {}

  /// The client of session `holder` has this program or library. It is cached, because many workers will ask.
  void add_program(const Uuid& holder, const BlobId& id) { relay_.add_program(holder, id); }

  // ---- messages; `holder` is the session or the incarnation of the peer ----

  void on(PeerId peer, const Uuid& holder, const wire::Get& get);
  void on(PeerId peer, const Uuid& holder, const wire::Data& data);
  void on(PeerId peer, const Uuid& holder, const wire::Gone& gone);
  /// Passes DROP on to the holder that it names.
  void on(PeerId peer, const Uuid& holder, const wire::Drop& drop);

  // ---- holders and peers come and go ----

  /// The holder is silent, or not connected for now.
  void fall_back_from(const Uuid& holder);
  /// The holder is connected again.
  void resume(const Uuid& holder);
  /// The holder is gone for good.
  void remove_holder(const Uuid& holder);
  /// The connection is gone: forgets its requests.
  void remove_peer(PeerId peer) { relay_.remove_peer(peer); }

  // ---- the broker's own vault ----

  /// Asks holders for the chunks that the vault needs now. False: the vault needs none.
  bool fetch_for_vault();

 private:
  BlobRelay::Reachable reachable() const;
  void pass_on(BlobRelay::Outbox& outbox);

  const Roster& roster_;
  const Adoption& adoption_;
  BlobVault& blob_vault_;
  Step& step_;
  BlobRelay relay_;
};

}  // namespace weft::broker
