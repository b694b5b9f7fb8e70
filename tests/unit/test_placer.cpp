// SPDX-License-Identifier: MIT
// Placer alone: which workers are open, how much each may hold, the choice of a worker, and rebalancing (work
// stealing).
#include "broker/scheduler/placer.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

struct Stage : Parts {
  Placer& placer = tables.placer;
  Session& client = join_client(9);

  /// The client's queue for tasks with this placement.
  ReadyQueue& queue_of(const Placement& placement) { return FairQueue::queue_for(client, placement); }
  /// The queue of tasks that take `threads` slots.
  ReadyQueue& wide(std::uint32_t threads) {
    wire::TaskSpec content = any_spec();
    content.threads = threads;
    const auto number = static_cast<std::uint32_t>(client.specs.size() + 1);
    return *tables.specs.define(client, number, content, "").queue;
  }
  ReadyQueue& plain() { return *client.specs.at(1)->queue; }
};

Placement preferring(const std::string& name) {
  Placement placement;
  placement.prefer = {name};
  return placement;
}

}  // namespace

TEST_SUITE("placer") {
  TEST_CASE("the worker with the least load for its slots is chosen") {
    Stage s;
    CHECK(s.placer.choose(s.plain()) == nullptr);
    Worker& small = s.join_worker(1, 2);
    Worker& large = s.join_worker(2, 8);
    s.assign_task(s.client, small);
    CHECK(s.placer.choose(s.plain()) == &large);
    for (int i = 0; i < 5; ++i) s.assign_task(s.client, large);
    CHECK(s.placer.choose(s.plain()) == &small);  // 1 of 2 is less than 5 of 8
    s.check_invariants();
  }

  TEST_CASE("a worker is open while it is ready and holds less than its credit") {
    Stage s;
    Worker& worker = s.join_worker(1, 2);
    Task& task = s.assign_task(s.client, worker);
    CHECK_FALSE(s.placer.none_open());
    s.assign_task(s.client, worker);
    CHECK(s.placer.none_open());
    s.lifecycle.requeue(task, Duration(0));
    CHECK_FALSE(s.placer.none_open());
    worker.state = WorkerState::draining;
    s.placer.update(worker);
    CHECK(s.placer.none_open());
    worker.state = WorkerState::ready;
    s.tables.adoption.add_zombie(worker, {uuid(8), 1}, {1, 1});  // an unwanted attempt takes a slot too
    CHECK(s.placer.none_open());
    s.check_invariants();
  }

  TEST_CASE("short tasks are prefetched for a few milliseconds, long ones are not") {
    Stage s;
    Worker& worker = s.join_worker(1, 2);
    const auto credit_at = [&](Duration average) {
      worker.average_us = static_cast<double>(average.count());
      s.placer.update_credit(worker);
      return worker.credit;
    };
    CHECK(credit_at(Duration(0)) == 2);  // no run time is known
    CHECK(credit_at(s.settings.prefetch) == 2 * 2);
    CHECK(credit_at(s.settings.prefetch / 4) == 2 * (1 + 4));
    CHECK(credit_at(s.settings.prefetch_task_max) == 2 * 2);
    CHECK(credit_at(s.settings.prefetch_task_max + Duration(1)) == 2);
    CHECK(credit_at(Duration(1)) == 2 * (1 + s.settings.prefetch_max));
  }

  TEST_CASE("while clients compete, workers hold less") {
    Stage s;
    Worker& worker = s.join_worker(1);
    worker.average_us = static_cast<double>(s.settings.prefetch.count()) / 16;
    s.placer.note_competition();
    s.placer.update_credit(worker);
    CHECK(worker.credit == 1 + 16 / s.settings.shared_part);
    s.advance(s.settings.shared_memory);
    s.placer.update_credit(worker);
    CHECK(worker.credit == 1 + 16);
  }

  TEST_CASE("a worker that holds gets as many tasks as it says, and never more than its slots") {
    Stage s;
    Worker& worker = s.join_worker(1, 4);
    worker.holds = true;
    worker.hold.hold_slots = 1;
    s.placer.update_credit(worker);
    CHECK(worker.credit == 1);
    worker.hold.hold_slots = 9;
    s.placer.update_credit(worker);
    CHECK(worker.credit == 4);
  }

  TEST_CASE("a preferred worker goes before a more idle one, which is better than none") {
    Stage s;
    Worker& preferred = s.join_worker(1, 2);
    Worker& other = s.join_worker(2, 2);
    s.assign_task(s.client, preferred);
    CHECK(s.placer.choose(s.queue_of(preferring("w1"))) == &preferred);
    CHECK(s.placer.choose(s.queue_of(preferring("w7"))) == &other);
    s.assign_task(s.client, preferred);
    CHECK(s.placer.choose(s.queue_of(preferring("w1"))) == &other);
  }

  TEST_CASE("where fewer workers may run a task than are open, the least loaded of these is chosen") {
    Stage s;
    for (std::uint8_t i = 1; i <= 4; ++i) s.join_worker(i, 2);
    Placement placement;
    placement.workers = {"w2", "w3"};
    Worker& second = *s.roster.find_worker(uuid(2));
    Worker& third = *s.roster.find_worker(uuid(3));
    s.assign_task(s.client, second);
    CHECK(s.placer.choose(s.queue_of(placement)) == &third);
    s.assign_task(s.client, third);
    s.assign_task(s.client, third);
    CHECK(s.placer.choose(s.queue_of(placement)) == &second);
    CHECK(s.placer.open_worker_for(placement) == &second);
  }

  TEST_CASE("a task of several threads goes where the slots are free, and waits with a worker otherwise") {
    Stage s;
    Worker& one = s.join_worker(1, 2);
    Worker& two = s.join_worker(2, 4);
    s.assign_task(s.client, one);
    CHECK(s.placer.choose(s.wide(2)) == &two);
    CHECK(s.placer.choose(s.wide(4)) == &two);
    CHECK(s.placer.choose(s.wide(5)) == nullptr);
    for (int i = 0; i < 3; ++i) s.assign_task(s.client, two);
    CHECK(s.placer.choose(s.wide(4)) == &two);  // it reserves slots of the worker as they become free
  }

  TEST_CASE("a retry waits for a worker on which it has not failed, as long as that makes progress") {
    Stage s;
    Worker& failed = s.join_worker(1);
    Worker& busy = s.join_worker(2);
    s.assign_task(s.client, busy);
    Task& task = s.add_task(s.client);
    s.placer.note_failed_on(task, failed);
    s.lifecycle.queue(task);
    ReadyQueue& queue = s.plain();
    REQUIRE(queue.retries.contains(task));
    CHECK(s.placer.failed_on(task, failed));
    CHECK_FALSE(s.placer.failed_on(task, busy));
    CHECK(s.placer.choose_for_retry(queue, task) == nullptr);
    s.advance(s.settings.retry_elsewhere);
    CHECK(s.placer.choose_for_retry(queue, task) == &failed);
    Worker& third = s.join_worker(3);
    CHECK(s.placer.choose_for_retry(queue, task) == &third);
    s.check_invariants();
    s.lifecycle.erase(task);  // the record of its failures goes with it
    s.check_invariants();
  }

  TEST_CASE("a task that waits behind another one is moved when a worker is idle, and not at once") {
    Stage s;
    Worker& loaded = s.join_worker(1);
    loaded.credit = 3;
    Task& first = s.assign_task(s.client, loaded);
    Task& second = s.assign_task(s.client, loaded);
    s.lifecycle.note_started(first);
    Worker& idle = s.join_worker(2);
    const Duration patience = 5 * s.settings.prefetch;
    s.advance(patience - Duration(1));
    CHECK(s.placer.take_rebalance().empty());
    s.advance(patience);
    CHECK(s.placer.take_rebalance() == std::vector<const Task*>{&second});
    s.advance(patience);
    CHECK(s.placer.take_rebalance().empty());  // that worker was asked, and may be about to answer
    s.advance(5 * patience);
    CHECK(s.placer.take_rebalance() == std::vector<const Task*>{&second});
    s.assign_task(s.client, idle);
    s.advance(10 * patience);
    CHECK(s.placer.take_rebalance().empty());
  }
}
