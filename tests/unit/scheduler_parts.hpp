// SPDX-License-Identifier: MIT
// Parts: the objects that a class inside the scheduler needs, for tests of that class alone, and verbs that
// set the stage. All verbs are within one step until advance().
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/tables.hpp"
#include "scheduler_harness.hpp"

namespace weft::broker {

struct Parts {
  Settings settings;
  Tables tables{settings, Time{}};
  Roster& roster = tables.roster;
  Step& step = tables.step;
  Lifecycle lifecycle{settings, tables};
  Actions actions;

  explicit Parts(Settings with = test_settings()) : settings(std::move(with)) { step.begin(Time{}, actions); }

  void advance(Duration duration) { step.begin(step.now() + duration, actions); }
  Actions take() { return std::exchange(actions, {}); }

  /// Adds a worker that has said READY. Its incarnation is uuid(number).
  Worker& add_worker(std::uint8_t number, std::uint32_t slots = 1, wire::HelloWorker hello = {}) {
    hello.incarnation = uuid(number);
    hello.name = "w" + std::to_string(number);
    hello.slots = slots;
    Worker& worker = roster.add_worker(hello);
    worker.slots = slots;
    worker.state = WorkerState::ready;
    worker.minor = wire::kMinor;
    worker.resources_free = hello.resources;
    worker.credit = slots;
    return worker;
  }
  /// The same, open for tasks and on connection number + 100.
  Worker& join_worker(std::uint8_t number, std::uint32_t slots = 1, wire::HelloWorker hello = {}) {
    Worker& worker = add_worker(number, slots, std::move(hello));
    tables.eligibility.add(worker);
    worker.peer = number + 100U;
    roster.peers().emplace(worker.peer, Peer{nullptr, &worker, wire::kMinor, step.now(), step.now()});
    tables.placer.update(worker);
    return worker;
  }
  /// Adds a client with session uuid(number), on connection number + 200, whose spec 1 is `content`.
  Session& join_client(std::uint8_t number, const wire::TaskSpec& content = any_spec()) {
    Session& session = roster.add_session(uuid(number));
    session.name = "c" + std::to_string(number);
    session.peer = number + 200U;
    session.synced = true;
    tables.fair_queue.add(session);
    tables.fair_queue.update_backlog_max();
    roster.peers().emplace(session.peer, Peer{&session, nullptr, wire::kMinor, step.now(), step.now()});
    tables.specs.define(session, 1, content, "");
    return session;
  }
  /// Adds the next task of the session, in no list yet.
  Task& add_task(Session& session, std::uint32_t spec = 1,
                 const wire::Payload& payload = wire::Payload("arg")) {
    return lifecycle.add(session, ++session.received, *Specs::find(session, spec), payload);
  }
  /// Adds the next task of the session to its ready queue.
  Task& queue_task(Session& session, std::uint32_t spec = 1) {
    Task& task = add_task(session, spec);
    lifecycle.queue(task);
    return task;
  }
  /// Assigns the next task of the session to the worker.
  Task& assign_task(Session& session, Worker& worker, std::uint32_t spec = 1) {
    Task& task = queue_task(session, spec);
    lifecycle.assign(task, worker);
    return task;
  }
  void check_invariants() const {
    tables.check_invariants();
    lifecycle.check_invariants();
  }
};

}  // namespace weft::broker
