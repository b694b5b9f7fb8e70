// SPDX-License-Identifier: MIT
// Witness: hears all that is said on the broker's connections and holds the broker to PROTOCOL.md: attempts
// are given out once, nobody is given a task that is cancelled or answered, an answer has one number, results
// are released when their client has them, detached tasks are promised, assigned, answered and released when
// the journal has what it must, a worker that holds gets nothing new, and silence is waited for. Says fail()
// when a rule is broken.
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

  /// A new life of the broker, which knows nothing of the one before.
  void broker_started(std::uint64_t epoch, std::uint8_t minor);
  /// The broker could not do anything from `since` until now.
  void broker_woke(Time since);
  /// What the broker's machine is told, before it acts on it.
  void heard(const broker::Event& event);
  /// What it did, because of what it heard last.
  void did(const broker::Action& action);
  /// From here nobody may hold anything of anybody.
  void everybody_left() { everybody_left_ = true; }

 private:
  struct Task {
    bool cancelled = false;
    bool again = false;       // its answer was lost, and it was announced once more
    std::uint64_t final = 0;  // delivery number of its answer; 0: none yet
    bool detach = false;      // as its spec says
    bool durable = false;     // the journal has it
    bool saved = false;       // and its answer, or that nobody needs that any more
  };
  struct Session {
    broker::PeerId peer = broker::kNoPeer;
    std::uint64_t delivered = 0;  // as its HELLO said
    std::uint64_t acked = 0;
    bool synced = false;  // it has announced all that it had open
    std::unordered_map<std::uint64_t, Task> tasks;
    std::unordered_map<std::uint32_t, bool> detaches;  // by spec
  };
  struct Peer {
    Uuid session;  // a client's, or
    Uuid worker;   // a worker's incarnation
    Time heard{};
    bool holds = false;  // a worker: it takes no more slots of tasks than
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
  std::uint8_t minor_ = wire::kMinor;  // of the broker
  Time awake_since_{};
  const broker::Event* event_ = nullptr;
  std::map<broker::PeerId, Peer> peers_;
  std::unordered_map<Uuid, Session> sessions_;
  std::map<OutboxId, Outbox> outboxes_;
  std::map<std::uint64_t, std::string> rows_;                   // ordered, by number
  std::set<std::pair<std::uint64_t, std::uint64_t>> attempts_;  // of all lives
  bool everybody_left_ = false;
};

}  // namespace weft::sim
