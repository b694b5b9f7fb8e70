// SPDX-License-Identifier: MIT
// Roster: owns the records of the connected peers, the sessions (clients) and the workers, each found by its
// id.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "broker/scheduler/state.hpp"
#include "common/base/sequence_map.hpp"

namespace weft::broker {

class Roster {
 public:
  Roster() = default;
  /// Takes all tasks out of their lists first, because sessions own tasks and workers own lists of them.
  ~Roster();
  Roster(const Roster&) = delete;
  Roster& operator=(const Roster&) = delete;

  using Sessions = std::unordered_map<Uuid, std::unique_ptr<Session>>;
  using Workers = std::unordered_map<Uuid, std::unique_ptr<Worker>>;

  // ---- peers, by connection ----

  SequenceMap<Peer>& peers() { return peers_; }
  const SequenceMap<Peer>& peers() const { return peers_; }

  // ---- sessions ----

  const Sessions& sessions() const { return sessions_; }
  /// nullptr: unknown.
  Session* find_session(const Uuid& id) const {
    const auto found = sessions_.find(id);
    return found != sessions_.end() ? found->second.get() : nullptr;
  }
  /// REQUIRES: `id` is unknown.
  Session& add_session(const Uuid& id) {
    Session& session = *sessions_.emplace(id, std::make_unique<Session>()).first->second;
    session.id = id;
    session.serial = next_serial_++;
    return session;
  }
  void remove_session(const Uuid& id) { sessions_.erase(id); }

  // ---- workers ----

  /// The workers, by incarnation.
  const Workers& workers() const { return workers_; }
  const std::unordered_map<std::string, Worker*>& names() const { return names_; }
  Worker* find_worker(const Uuid& incarnation) const {
    const auto found = workers_.find(incarnation);
    return found != workers_.end() ? found->second.get() : nullptr;
  }
  Worker* find_worker_called(const std::string& name) const {
    const auto found = names_.find(name);
    return found != names_.end() ? found->second : nullptr;
  }
  /// REQUIRES: neither its incarnation nor its name is taken.
  Worker& add_worker(const wire::HelloWorker& hello) {
    Worker& worker = *workers_.emplace(hello.incarnation, std::make_unique<Worker>()).first->second;
    worker.hello = hello;
    worker.serial = next_serial_++;
    names_[hello.name] = &worker;
    return worker;
  }
  void remove_worker(const Worker& worker) {
    const Uuid incarnation = worker.hello.incarnation;
    names_.erase(worker.hello.name);
    workers_.erase(incarnation);
  }

  // ---- memory ----

  /// A payload that this broker stores for the session changes its size from `before` to `after` bytes; 0: no
  /// payload.
  void change_bytes(Session& session, std::size_t before, std::size_t after) {
    session.queued_bytes += after - before;
    queued_bytes_ += after - before;
  }
  /// Bytes of the payloads of all tasks and of the stored answers of detached tasks.
  std::size_t queued_bytes() const { return queued_bytes_; }

  void check_invariants() const;

 private:
  SequenceMap<Peer> peers_;
  Sessions sessions_;
  Workers workers_;
  std::unordered_map<std::string, Worker*> names_;
  std::uint64_t next_serial_ = 1;
  std::size_t queued_bytes_ = 0;
};

}  // namespace weft::broker
