// SPDX-License-Identifier: MIT
// FairQueue alone: the order within a client, which clients wait for a turn, and tasks that wait apart.
// FairTurns, which does the fair queueing of the slots, has separate tests.
#include "broker/scheduler/fair_queue.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

wire::TaskSpec spec_of(std::int32_t priority, bool detach = false) {
  wire::TaskSpec spec = any_spec();
  spec.priority = priority;
  spec.detach = detach;
  return spec;
}

struct Stage : Parts {
  using Parts::Parts;
  FairQueue& fair_queue = tables.fair_queue;
  Session& client = join_client(9);

  /// The number of the next task; 0: none.
  std::uint64_t next() {
    const ReadyQueue* queue = fair_queue.best_queue(client);
    return queue != nullptr ? queue->front()->seq : 0;
  }
};

}  // namespace

TEST_SUITE("fair queue") {
  TEST_CASE("specs that agree in where and when their tasks run share a queue") {
    Stage s;
    const Spec& same = s.tables.specs.define(s.client, 2, any_spec(), "");
    const Spec& urgent = s.tables.specs.define(s.client, 3, spec_of(1), "");
    const Spec& later = s.tables.specs.define(s.client, 4, spec_of(-1), "");
    CHECK(same.queue == s.client.specs.at(1)->queue);
    CHECK(urgent.queue != same.queue);
    CHECK(s.client.order == std::vector<ReadyQueue*>{urgent.queue, same.queue, later.queue});
  }

  TEST_CASE("the highest priority goes first, then the oldest task") {
    Stage s;
    s.tables.specs.define(s.client, 2, spec_of(1), "");
    wire::TaskSpec elsewhere = any_spec();
    elsewhere.prefer = {"w1"};
    s.tables.specs.define(s.client, 3, elsewhere, "");
    Task& first = s.queue_task(s.client, 3);
    Task& second = s.queue_task(s.client);
    Task& urgent = s.queue_task(s.client, 2);
    CHECK(s.next() == urgent.seq);
    s.fair_queue.remove(urgent);
    CHECK(s.next() == first.seq);
    s.fair_queue.remove(first);
    CHECK(s.next() == second.seq);
    CHECK(s.client.queued == 1);
    s.fair_queue.remove(second);
    CHECK(s.next() == 0);
    CHECK(s.client.queued == 0);
    for (Task* task : {&first, &second, &urgent}) s.lifecycle.erase(*task);
    s.check_invariants();
  }

  TEST_CASE("a task that comes back has the place that its age gives it") {
    Stage s;
    Task& first = s.queue_task(s.client);
    s.queue_task(s.client);
    s.fair_queue.remove(first);
    s.lifecycle.queue(first);
    CHECK(s.next() == first.seq);
    s.check_invariants();
  }

  TEST_CASE("a queue that is blocked is passed over until the next pass") {
    Stage s;
    s.tables.specs.define(s.client, 2, spec_of(1), "");
    Task& plain = s.queue_task(s.client);
    Task& urgent = s.queue_task(s.client, 2);
    s.fair_queue.begin_pass();
    s.fair_queue.block(*urgent.spec->queue);
    CHECK(s.next() == plain.seq);
    s.fair_queue.block(*plain.spec->queue);
    CHECK(s.next() == 0);
    CHECK(s.fair_queue.next().turn == nullptr);  // the client is blocked as a whole
    s.fair_queue.begin_pass();
    CHECK(s.fair_queue.next().turn == &s.client.turn);
    CHECK(s.next() == urgent.seq);
  }

  TEST_CASE("retries are blocked by themselves") {
    Stage s;
    Task& task = s.queue_task(s.client);
    s.fair_queue.begin_pass();
    s.fair_queue.block_retries(*task.spec->queue);
    CHECK(s.fair_queue.retries_blocked(*task.spec->queue));
    CHECK(s.next() == task.seq);
    s.fair_queue.begin_pass();
    CHECK_FALSE(s.fair_queue.retries_blocked(*task.spec->queue));
  }

  TEST_CASE("a client waits for a turn while it has queued tasks") {
    Stage s;
    CHECK(s.fair_queue.nobody_waits());
    Task& task = s.queue_task(s.client);
    CHECK(s.client.turn.waits);
    Session& other = s.join_client(8);
    CHECK(s.fair_queue.others_wait(other));
    CHECK_FALSE(s.fair_queue.others_wait(s.client));
    s.lifecycle.erase(task);
    CHECK(s.fair_queue.nobody_waits());
    s.check_invariants();
  }

  TEST_CASE("of a client that is away only detached tasks start") {
    Stage s;
    s.tables.specs.define(s.client, 2, spec_of(-1, true), "");
    Task& plain = s.queue_task(s.client);
    s.client.state = SessionState::lost;
    s.fair_queue.update(s.client);
    CHECK_FALSE(s.client.turn.waits);
    Task& detached = s.queue_task(s.client, 2);
    s.client.detached[detached.seq].spec = detached.spec;
    s.fair_queue.update(s.client);
    CHECK(s.client.turn.waits);
    CHECK(s.next() == detached.seq);
    s.client.state = SessionState::connected;
    CHECK(s.next() == plain.seq);
    s.client.detached.clear();
  }

  TEST_CASE("a client that is behind with fetching its results waits for no turn") {
    Settings settings = test_settings();
    settings.backlog_bytes_max = 100;
    Stage s(settings);
    s.fair_queue.update_backlog_max();
    CHECK(s.fair_queue.backlog_max() == 100);
    s.queue_task(s.client);
    s.tables.delivery.deliver(s.client, {1, {}, {}, 0, 0, wire::Payload(std::string(100, 'x'))});
    CHECK_FALSE(s.client.turn.waits);
    s.tables.delivery.acknowledge(s.client, 1);
    CHECK(s.client.turn.waits);
  }

  TEST_CASE("the memory budget is shared out among the sessions") {
    Settings settings = test_settings();
    settings.memory_budget = 800;
    Stage s(settings);
    s.fair_queue.update_backlog_max();
    CHECK(s.fair_queue.backlog_max() == 400);
    s.join_client(8);
    CHECK(s.fair_queue.backlog_max() == 200);
  }

  TEST_CASE("tasks that have failed, or that some worker has no memory for, wait apart") {
    Stage s;
    s.join_worker(1, 1, {.memory = 1000});
    Task& small = s.queue_task(s.client);
    Task& large = s.add_task(s.client, 1, wire::Payload(wire::BlobRef{s.client.id, blob_id(1), 500}));
    s.lifecycle.queue(large);
    Task& failed = s.add_task(s.client);
    s.tables.placer.note_failed_on(failed, *s.roster.find_worker(uuid(1)));
    s.lifecycle.queue(failed);
    ReadyQueue& queue = *small.spec->queue;
    CHECK(queue.tasks.contains(small));
    CHECK(queue.tasks.contains(large));
    CHECK(queue.retries.contains(failed));
    const Worker& smaller = s.join_worker(2, 1, {.memory = 400});
    CHECK(s.tables.eligibility.is_large(large));
    s.fair_queue.set_large_apart();
    CHECK(queue.retries.front() == &large);
    CHECK(queue.retries.size() == 2);
    CHECK(queue.front() == &small);
    CHECK(smaller.tasks.empty());
    s.check_invariants();
  }
}
