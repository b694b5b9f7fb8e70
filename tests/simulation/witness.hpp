// SPDX-License-Identifier: MIT
// Witness: sees every message on the broker's connections and checks the broker against PROTOCOL.md. Each
// attempt is assigned once; no worker is assigned a cancelled or answered task; an answer has one delivery
// number; results are released only when their client has them; detached tasks are promised, assigned,
// answered and released only when the journal has the entry that this needs; a worker that holds back new
// work is assigned no more slots; and a silent peer is dropped only after the full liveness time. Calls
// fail() when a rule is broken.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "broker/scheduler/scheduler.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

class Witness {
 public:
  explicit Witness(World& world) : world_(world) {}

  /// A new life of the broker begins, without memory of the previous life.
  void broker_started(std::uint64_t epoch, std::uint8_t minor);
  /// The broker was frozen from `since` until now.
  void broker_woke(Time since);
  /// An event for the scheduler, before it acts on the event.
  void heard(const broker::Event& event);
  /// An action of the scheduler, as a consequence of the last event.
  void did(const broker::Action& action);
  /// From now on no process may hold any task, result or blob.
  void everybody_left() { everybody_left_ = true; }

 private:
  struct Task {
    bool cancelled = false;
    bool again = false;       // announced again after its answer was lost
    std::uint64_t final = 0;  // delivery number of its answer; 0: none yet
    bool detach = false;      // of its spec
    bool durable = false;     // the journal has the task
    bool saved = false;       // the journal has its answer, or that the answer is no longer needed
  };
  struct Session {
    broker::PeerId peer = broker::kNoPeer;
    std::uint64_t delivered = 0;  // of its HELLO
    std::uint64_t acked = 0;
    bool synced = false;  // it has announced all its open tasks
    std::unordered_map<std::uint64_t, Task> tasks;
    std::unordered_map<std::uint32_t, bool> detaches;  // by spec
  };
  struct Peer {
    Uuid session;  // of a client; or
    Uuid worker;   // incarnation of a worker
    Time heard{};
    bool holds = false;  // a worker that accepts no more tasks than for
    std::uint32_t hold_slots = 0;
  };
  struct OutboxId {
    Uuid worker;
    Uuid session;
    auto operator<=>(const OutboxId&) const = default;
  };
  using Outbox = std::map<std::uint64_t, std::uint64_t>;  // unreleased successes: result number to task

  void hear(broker::PeerId peer, const wire::Message& message, std::uint8_t minor);
  void hear_client(Session& session, const wire::Message& message, std::uint8_t minor);
  bool is_detached(const TaskId& id) const;
  void add(Session& session, std::uint64_t seq, std::uint32_t spec);
  static void begin_anew(Session& session);
  void read(const std::vector<broker::JournalRecord>& records);
  void say(broker::PeerId to, const wire::Message& message);
  void check_assign(const wire::Assign& assign);
  static void check_kept(const Session& session, const wire::Journaled& kept);
  void check_deliver(Session& session, const wire::Deliver& deliver);
  void check_release(const Uuid& worker, const wire::Release& release);
  void check_drop(broker::PeerId peer) const;

  World& world_;
  std::uint64_t epoch_ = 0;
  std::uint8_t minor_ = wire::kMinor;  // protocol version of the broker
  Time awake_since_{};
  const broker::Event* event_ = nullptr;
  std::map<broker::PeerId, Peer> peers_;
  std::unordered_map<Uuid, Session> sessions_;
  std::map<OutboxId, Outbox> outboxes_;
  std::map<std::uint64_t, std::string> rows_;  // journal entries that were ordered, by number
  std::set<std::pair<std::uint64_t, std::uint64_t>> attempts_;  // of all lives
  bool everybody_left_ = false;
};

}  // namespace weft::sim
