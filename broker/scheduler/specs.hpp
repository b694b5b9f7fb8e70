// SPDX-License-Identifier: MIT
// Specs: what tasks of a session have in common (function, program, options), under the number that the
// client gave each spec, and which worker has been sent which spec. A spec is removed when the client has
// forgotten it and its last task is over.
#pragma once

#include <cstdint>
#include <string>

#include "broker/scheduler/blob_traffic.hpp"
#include "broker/scheduler/blob_vault.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Specs {
 public:
  Specs(const Roster& roster, BlobVault& blob_vault, BlobTraffic& blobs, Step& step)
      : roster_(roster), blob_vault_(blob_vault), blobs_(blobs), step_(step) {}

  /// nullptr: not defined.
  static Spec* find(Session& session, std::uint32_t number);
  /// `refusal`: why this broker cannot run tasks of the spec; "": it can. REQUIRES: `number` is not defined.
  Spec& define(Session& session, std::uint32_t number, const wire::TaskSpec& content, std::string refusal);
  /// The client submits no more tasks of the spec.
  void forget(Session& session, std::uint32_t number);
  /// A task of the spec is over. May destroy `spec`.
  void release(Session& session, Spec& spec);
  /// The session ends: releases the blobs that its specs hold.
  void release_blobs_of(Session& session);

  /// Sends the spec to the worker, unless it was sent on this connection before.
  void send_to(Worker& worker, const Session& session, const Spec& spec) {
    if (worker.last_spec_session == session.serial && worker.last_spec_sent == spec.number) return;
    send_unless_known(worker, session, spec);
  }

 private:
  void remove(Session& session, std::uint32_t number);
  void send_unless_known(Worker& worker, const Session& session, const Spec& spec);

  const Roster& roster_;
  BlobVault& blob_vault_;
  BlobTraffic& blobs_;
  Step& step_;
};

}  // namespace weft::broker
