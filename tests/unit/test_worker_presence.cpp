// SPDX-License-Identifier: MIT
// WorkerPresence and Heartbeats alone: workers join, hold, drain and are lost, and what happens to their
// tasks; who is sent a heartbeat, and who has been silent for too long.
#include "broker/scheduler/worker_presence.hpp"

#include "broker/scheduler/heartbeats.hpp"
#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;
using Blame = WorkerPresence::Blame;

namespace {

struct Stage : Parts {
  Retries retries{settings, tables, lifecycle};
  WorkerPresence workers{settings, tables, lifecycle, retries};
  Session& client = join_client(9);

  ~Stage() { check_invariants(); }
  static wire::HelloWorker hello_of(std::uint8_t number, std::uint32_t slots = 1) {
    wire::HelloWorker hello;
    hello.incarnation = uuid(number);
    hello.name = "w" + std::to_string(number);
    hello.slots = slots;
    return hello;
  }
  Send welcome(PeerId peer, bool resumed) const {
    return {peer, wire::Welcome{settings.epoch,
                                static_cast<std::uint32_t>(settings.heartbeat_interval.count() / 1000),
                                settings.heartbeat_liveness, resumed, 0}};
  }
  void lose_connection(Worker& worker) {
    roster.peers().erase(worker.peer);
    workers.lose_connection(worker, "it broke");
  }
  void lose(Worker& worker, Blame blame = Blame::running) {
    roster.peers().erase(worker.peer);
    worker.peer = kNoPeer;
    workers.lose(worker, "it broke", blame);
  }
  Task& assign(Worker& worker, std::uint32_t crash_limit) {
    const auto number = static_cast<std::uint32_t>(client.specs.size() + 1);
    wire::TaskSpec content = any_spec();
    content.crash_limit = crash_limit;
    tables.specs.define(client, number, content, "");
    return assign_task(client, worker, number);
  }
  bool noticed(NoticeKind kind) const {
    return std::any_of(actions.begin(), actions.end(), [&](const Action& action) {
      const auto* told = std::get_if<Notify>(&action);
      return told != nullptr && told->notice->kind == kind;
    });
  }
};

}  // namespace

TEST_SUITE("worker presence") {
  TEST_CASE("a worker that joins is welcomed, and gets nothing before it has said READY") {
    Stage s;
    s.workers.join({.peer = 50}, Stage::hello_of(3, 4));
    CHECK(s.take() == Actions{s.welcome(50, false)});
    const Worker& worker = *s.roster.find_worker(uuid(3));
    CHECK(worker.state == WorkerState::joining);
    CHECK(worker.slots == 4);
    CHECK(worker.credit == 4);
    CHECK(s.tables.placer.none_open());
    CHECK(s.tables.eligibility.membership() == 2);
  }

  TEST_CASE("a worker that comes back says again what it has") {
    Stage s;
    Worker& worker = s.join_worker(1, 2);
    worker.handshake_confirmed = true;
    Task& task = s.assign_task(s.client, worker);
    s.tables.specs.send_to(worker, s.client, *task.spec);
    s.tables.adoption.add_zombie(worker, {s.client.id, 7}, {1, 1});
    worker.executions.edit()[{TaskId{s.client.id, 8}, {1, 2}}] = 1;
    s.workers.take_heartbeat(worker, {.hold = "memory", .hold_slots = 0});
    s.lose_connection(worker);
    s.take();
    s.workers.join({.peer = 50}, Stage::hello_of(1, 2));
    CHECK(s.take() == Actions{s.welcome(50, true)});
    CHECK(worker.zombies.empty());
    CHECK(worker.executions.empty());
    CHECK_FALSE(worker.holds);
    CHECK(worker.tasks.contains(task));  // until READY
    worker.state = WorkerState::ready;
    s.tables.specs.send_to(worker, s.client, *task.spec);
    CHECK(s.take().size() == 1);  // DEFINE_FOR goes out on each connection
    s.tables.placer.update(worker);
  }

  TEST_CASE("a worker that holds gets nothing new, until it says that it holds no more") {
    Stage s;
    Worker& worker = s.join_worker(1, 2);
    s.workers.take_heartbeat(worker, {});
    CHECK(s.take() == Actions{});
    s.workers.take_heartbeat(worker, {.hold = "memory", .hold_slots = 0});
    CHECK(s.tables.placer.none_open());
    CHECK_FALSE(worker.note.empty());
    CHECK(s.noticed(NoticeKind::worker_held));
    s.take();
    s.workers.take_heartbeat(worker, {.hold = "memory", .hold_slots = 1});
    CHECK_FALSE(s.tables.placer.none_open());
    CHECK(s.take() == Actions{});  // the state was reported before
    s.workers.take_heartbeat(worker, {});
    CHECK(worker.credit == 2);
    CHECK(worker.note.empty());
    CHECK(s.noticed(NoticeKind::worker_accepts));
  }

  TEST_CASE("a worker that drains gets nothing new and keeps what it has") {
    Stage s;
    Worker& worker = s.join_worker(1, 2);
    Task& task = s.assign_task(s.client, worker);
    s.workers.drain(worker);
    CHECK(worker.state == WorkerState::draining);
    CHECK(s.tables.placer.none_open());
    CHECK(worker.tasks.contains(task));
  }

  TEST_CASE("a worker whose connection is gone has a moment to come back") {
    Stage s;
    Worker& worker = s.join_worker(1);
    Task& task = s.assign_task(s.client, worker);
    s.lose_connection(worker);
    CHECK(worker.state == WorkerState::lost);
    CHECK(s.tables.placer.none_open());
    s.advance(s.settings.gone_grace - Duration(1));
    s.workers.on_gone_timer(uuid(1));
    CHECK(worker.tasks.contains(task));
    s.workers.renew_grace();  // this process was frozen
    s.advance(Duration(1));
    s.workers.on_gone_timer(uuid(1));
    CHECK(worker.tasks.contains(task));
    s.advance(s.settings.gone_grace - Duration(1));
    s.workers.on_gone_timer(uuid(1));
    CHECK(task.state == TaskState::queued);
    CHECK(s.roster.workers().empty());
    s.workers.on_gone_timer(uuid(1));  // the timer of an earlier loss
  }

  TEST_CASE("a worker that is connected again is not lost by the timer of its old connection") {
    Stage s;
    Worker& worker = s.join_worker(1);
    s.lose_connection(worker);
    s.workers.join({.peer = 50}, Stage::hello_of(1));
    s.advance(s.settings.gone_grace);
    s.workers.on_gone_timer(uuid(1));
    CHECK(s.roster.find_worker(uuid(1)) == &worker);
  }

  TEST_CASE("a loss is charged to what was running, and to what may start only once") {
    Stage s;
    Worker& worker = s.join_worker(1, 4);
    Task& running = s.assign(worker, 3);
    s.lifecycle.note_started(running);
    Task& assigned = s.assign(worker, 3);
    Task& once = s.assign(worker, 1);
    Task& cancelled = s.assign(worker, 3);
    s.lifecycle.cancel(cancelled);
    const std::uint64_t deliveries = s.client.deliveries.last();
    s.lose(worker);
    CHECK(running.state == TaskState::queued);
    CHECK(running.crashes == 1);
    CHECK(assigned.state == TaskState::queued);
    CHECK(assigned.crashes == 0);
    CHECK(once.seq == 3);
    CHECK(s.client.tasks.size() == 2);
    CHECK(s.client.deliveries.last() == deliveries + 2);  // a charge, and the answer of `once`
    CHECK(s.roster.workers().empty());
  }

  TEST_CASE("a worker that leaves by its own will is not blamed for what was running") {
    Stage s;
    Worker& worker = s.join_worker(1);
    Task& running = s.assign(worker, 3);
    s.lifecycle.note_started(running);
    s.lose(worker, Blame::nobody);
    CHECK(running.state == TaskState::queued);
    CHECK(running.crashes == 0);
    CHECK(s.client.deliveries.empty());
  }
}

TEST_SUITE("heartbeats") {
  TEST_CASE("peers that were sent nothing get a heartbeat, and those that say nothing are found") {
    Stage s;
    Heartbeats heartbeats(s.settings, s.tables);
    Worker& worker = s.join_worker(1);
    CHECK_FALSE(heartbeats.is_due());
    s.advance(s.settings.heartbeat_interval / 2);
    CHECK(heartbeats.is_due());
    CHECK(heartbeats.scan().empty());
    CHECK(s.take() == Actions{});
    CHECK(heartbeats.deadline() == s.step.now() + s.settings.heartbeat_interval / 2);
    s.advance(s.settings.heartbeat_interval / 2);
    s.step.send(s.client.peer, wire::Received{1});
    s.take();
    CHECK(heartbeats.scan().empty());
    CHECK(s.take() == Actions{Send{worker.peer, wire::Heartbeat{}}});
    s.advance(heartbeats.silence_max());
    s.roster.peers().at(worker.peer).heard = s.step.now();
    CHECK(heartbeats.scan() == std::vector<PeerId>{s.client.peer});
    CHECK(s.take() == Actions{Send{worker.peer, wire::Heartbeat{}}});
    s.client.state = SessionState::silent;  // the silence is known
    CHECK(heartbeats.scan().empty());
  }
}
