// SPDX-License-Identifier: MIT
// Delivery: answers to clients, and escrow of results: a worker holds a result until the client has
// acknowledged it. Answers are numbered for each client, sent as its window allows (flow control), and stored
// until the acknowledgement. PROTOCOL.md section 5.
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

  /// Sends the answer or charge at the end of the step. A session without a client gets nothing.
  void deliver(Session& session, wire::DeliveryRecord record);
  /// The client has all deliveries up to this number.
  void acknowledge(Session& session, std::uint64_t delivered);
  /// The next client of this session knows of no delivery: drops all, and numbers start again from 1.
  void restart(Session& session);
  /// The journal has detached task `seq` of the session: JOURNALED goes out at the end of the step.
  void tell_journaled(Session& session, std::uint64_t seq);

  // ---- results that workers hold in escrow ----

  /// The worker may release outbox entry `outbox`, the result of task `seq`, once the client has all
  /// deliveries made so far and, if the task is detached, the journal has the result. `seq` 0: no detached
  /// task.
  void release_after_deliveries(Session& session, const Worker& worker, std::uint64_t outbox,
                                std::uint64_t seq);
  /// Sends the releases whose condition holds now.
  void flush_releases(Session& session);

  // ---- flow control of submits ----

  /// Counts `bytes` of SUBMIT. False: the client has sent more than its window allows.
  bool within_window(Session& session, std::size_t bytes) const {
    session.unreceived += bytes;
    return session.unreceived <= settings_.submit_bytes_max;
  }
  /// Tasks have come, so RECEIVED is due. A separate message would only wake a client whose window is open:
  /// RECEIVED is coalesced with the next DELIVER, or sent after Settings::received_bytes or at the next scan.
  void schedule_received(Session& session);
  /// Sends RECEIVED if it is due. Backpressure: beyond the memory budget, clients that use more than their
  /// share wait for it.
  void send_received(Session& session);

  // ---- the end of a step ----

  /// The session has something to send, or may have ended.
  void mark_dirty(Session& session);
  /// Removes and returns the sessions marked in this step; the caller removes or pumps each.
  std::vector<Session*> take_dirty();
  /// Sends as many deliveries as the client's window takes.
  void pump(Session& session);

 private:
  void send_journaled(Session& session);

  const Settings& settings_;
  const Roster& roster_;
  FairQueue& fair_queue_;
  Step& step_;
  std::vector<Session*> dirty_;
  std::vector<std::pair<Worker*, std::uint64_t>>
      releasing_;  // worker and outbox entry; scratch memory of flush_releases()
};

}  // namespace weft::broker
