// SPDX-License-Identifier: MIT
// Witness: sees all messages on the broker's connections and checks the broker against PROTOCOL.md. Attempts
// are given out once; a cancelled or answered task is not assigned; an answer has one number; a result is
// released when its client has it; a detached task is promised, assigned, answered and released when the
// journal has what it must; a worker that holds gets no new task; and a peer is dropped for silence only
// after its deadline. The witness calls fail() if a rule is broken.
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

  /// A new broker process starts, which knows nothing of the one before.
  void broker_started(std::uint64_t epoch, std::uint8_t minor);
  /// The broker was frozen from `since` until now.
  void broker_woke(Time since);
  /// An event that the Scheduler receives, before it acts on it.
  void heard(const broker::Event& event);
  /// An action of the Scheduler, caused by the last event.
  void did(const broker::Action& action);
  /// From here on no worker may hold anything of any client.
  void everybody_left() { everybody_left_ = true; }

 private:
  struct Task {
    bool cancelled = false;
    bool again = false;       // its answer was lost, and its client announced it again
    std::uint64_t final = 0;  // delivery number of its answer; 0: none yet
    bool detach = false;      // by its spec
    bool durable = false;     // the journal has its submission
    bool saved = false;       // the journal has its answer, or that no client needs it
  };
  struct Session {
    broker::PeerId peer = broker::kNoPeer;
    std::uint64_t delivered = 0;  // the number in its HELLO
    std::uint64_t acked = 0;
    bool synced = false;  // the client has announced all its open tasks
    std::unordered_map<std::uint64_t, Task> tasks;
    std::unordered_map<std::uint32_t, bool> detaches;  // by spec
  };
  struct Peer {
    Uuid session;  // of a client; or
    Uuid worker;   // incarnation of a worker
    Time heard{};
    bool holds = false;  // of a worker: it takes no more tasks than hold_slots
    std::uint32_t hold_slots = 0;
  };
  struct OutboxId {
    Uuid worker;
    Uuid session;
    auto operator<=>(const OutboxId&) const = default;
  };
  using Outbox = std::map<std::uint64_t, std::uint64_t>;  // number: task, of successes not released

  void hear(broker::PeerId peer, const wire::Message& message, std::uint8_t minor);
  void hear_client(Session& session, const wire::Message& message, std::uint8_t minor);
  bool is_detached(const TaskId& id) const;
  void add(Session& session, std::uint64_t seq, std::uint32_t spec);
  static void begin_anew(Session& session);
  void read(const std::vector<broker::JournalRecord>& records);
  void say(broker::PeerId to, const wire::Message& message);
  void check_assign(const wire::Assign& assign);
  static void check_kept(const Session& session, const wire::Kept& kept);
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
  std::map<std::uint64_t, std::string> rows_;  // by number: rows that the journal was ordered to write
  std::set<std::pair<std::uint64_t, std::uint64_t>> attempts_;  // (epoch, attempt) of all brokers
  bool everybody_left_ = false;
};

}  // namespace weft::sim
