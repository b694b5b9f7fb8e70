// SPDX-License-Identifier: MIT
// Delivery: what clients are told, and what workers may let go of once a client knows it (escrow of results).
// Answers are numbered for each client, sent as its window allows and kept until it acknowledges them; a
// worker keeps a result until then. PROTOCOL.md section 5.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "broker/scheduler/fair_queue.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Delivery {
 public:
  Delivery(const Settings& settings, const Roster& roster, FairQueue& fair_queue, Step& step)
      : settings_(settings), roster_(roster), fair_queue_(fair_queue), step_(step) {}

  // ---- answers ----

  /// Sends it at the end of the step. A session without a client gets nothing.
  void deliver(Session& session, wire::DeliveryRecord record);
  /// The client has all deliveries up to this number.
  void acknowledge(Session& session, std::uint64_t delivered);
  /// The next client of this session knows of no delivery: their numbers start again from 1.
  void restart(Session& session);
  /// The journal has a detached task of the session: KEPT goes out at the end of the step.
  void tell_journaled(Session& session, std::uint64_t seq);

  // ---- results that workers keep ----

  /// The worker may let go of outbox entry `outbox`, the result of task `seq`, once the client has all that
  /// was delivered so far and, if the task is detached, the journal has it too. `seq` 0: no detached task.
  void release_after_deliveries(Session& session, const Worker& worker, std::uint64_t outbox,
                                std::uint64_t seq);
  /// Sends the releases whose condition holds now.
  void flush_releases(Session& session);

  // ---- flow control of submits ----

  /// False: the client has sent more than its window allows.
  bool within_window(Session& session, std::size_t bytes) const {
    session.unreceived += bytes;
    return session.unreceived <= settings_.submit_bytes_max;
  }
  /// Tasks have come, so RECEIVED is owed. A message of its own would only wake the client while its window
  /// is open: RECEIVED goes out with the next DELIVER, when much has come, or at the next scan.
  void schedule_received(Session& session);
  /// Sends RECEIVED if it is owed. Beyond the memory budget, clients that hold more than their share wait.
  void send_received(Session& session);

  // ---- the end of a step ----

  /// The session has something to send, or may have ended.
  void mark_dirty(Session& session);
  /// The sessions that were marked in this step. Each is either removed, or pumped.
  std::vector<Session*> take_dirty();
  /// Sends what the client's window takes.
  void pump(Session& session);

 private:
  void send_journaled(Session& session);

  const Settings& settings_;
  const Roster& roster_;
  FairQueue& fair_queue_;
  Step& step_;
  std::vector<Session*> dirty_;
  std::vector<std::pair<Worker*, std::uint64_t>>
      releasing_;  // and its outbox entry: scratch of flush_releases
};

}  // namespace weft::broker
