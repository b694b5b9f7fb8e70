// SPDX-License-Identifier: MIT
// Attachments: an attached task has the answer of a detached task, which may belong to another client. A
// client finds detached tasks by their label (FIND) and attaches to them; while the entry of the detached
// task has a watcher, its answer stays until that client has fetched it. PROTOCOL.md section 8.
//
// Invariant: a session watches a detached task exactly if the entry of that task has it as a watcher.
#pragma once

#include <cstdint>

#include "broker/scheduler/delivery.hpp"
#include "broker/scheduler/durable.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Attachments {
 public:
  Attachments(const Roster& roster, Delivery& delivery, Durable& durable, Step& step)
      : roster_(roster), delivery_(delivery), durable_(durable), step_(step) {}

  /// Adds attached task `seq`. `payload` names the detached task, of whose charges the client has the first
  /// `charges_known`.
  void watch(Session& session, std::uint64_t seq, const wire::Payload& payload, std::uint32_t charges_known);
  /// The client of `session` is gone, or says again what it watches.
  void stop_watching(Session& session);
  /// The detached tasks with this label that `identity` may use. Their answers stay for a grace period,
  /// because the client may be about to attach to them.
  wire::Found find(const Identity& identity, const wire::Find& question, std::uint8_t minor);
  /// After a stall of this process since `stepped`: starts the grace periods of find() again.
  void renew_found_grace(Time stepped) const;

  /// Aborts if the invariant is broken.
  void check_invariants() const;

 private:
  void refuse(Session& session, std::uint64_t seq, std::string why);

  const Roster& roster_;
  Delivery& delivery_;
  Durable& durable_;
  Step& step_;
};

}  // namespace weft::broker
