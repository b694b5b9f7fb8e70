// SPDX-License-Identifier: MIT
// Attachments: attached tasks, whose answer is that of a detached task, perhaps of another client. A client
// finds detached tasks by their label (FIND) and attaches to them; a watcher in the entry of the detached
// task keeps the answer there until this client has fetched it. PROTOCOL.md section 8.
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

  /// Task `seq` is attached: `payload` names the detached task, of which the client has the first
  /// `charges_known` charges.
  void watch(Session& session, std::uint64_t seq, const wire::Payload& payload, std::uint32_t charges_known);
  /// The client of `session` is gone, or says again what it watches.
  void stop_watching(Session& session);
  /// The detached tasks with this label that `identity` may use. A client that hears of them may be about to
  /// attach to them: their answers stay for a while.
  wire::Found find(const Identity& identity, const wire::Find& question, std::uint8_t minor);
  /// After this process stood still since `stepped`: clients that heard of answers may be about to attach to
  /// them.
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
