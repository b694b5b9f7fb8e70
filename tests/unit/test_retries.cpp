// SPDX-License-Identifier: MIT
// Retries alone: the charge for a failed, lost or returned attempt, and when the task is executed again.
#include "broker/scheduler/retries.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

wire::TaskSpec limited(std::uint32_t retries, std::uint32_t crash_limit, std::uint64_t delay_ms = 0) {
  wire::TaskSpec spec = any_spec();
  spec.retries = retries;
  spec.crash_limit = crash_limit;
  spec.retry_delay_ms = delay_ms;
  return spec;
}

struct Stage : Parts {
  Retries retries{settings, tables, lifecycle};
  Session& client = join_client(9);
  Worker& worker = join_worker(1, 4);

  ~Stage() { check_invariants(); }
  /// Assigns a task with these limits to the worker.
  Task& assign(const wire::TaskSpec& content) {
    const auto number = static_cast<std::uint32_t>(client.specs.size() + 1);
    tables.specs.define(client, number, content, "");
    return assign_task(client, worker, number);
  }
  void fail(Task& task, wire::Outcome outcome = wire::Outcome::failed) {
    retries.take_failure(worker, task,
                         {.seq = task.seq, .outcome = outcome, .payload = wire::Payload("why")});
  }
  /// The messages that the client gets at the end of the step.
  Actions pump() {
    for (Session* session : tables.delivery.take_dirty()) tables.delivery.pump(*session);
    return take();
  }
  Send told(std::uint64_t number, wire::DeliveryRecord record) const {
    return {client.peer, wire::Deliver{number, {std::move(record)}}};
  }
};

wire::DeliveryRecord charged(std::uint64_t seq, wire::Outcome outcome, std::uint32_t retries_used,
                             std::uint32_t crashes) {
  return {seq, wire::DeliveryKind::charged, outcome, retries_used, crashes, wire::Payload("why")};
}
wire::DeliveryRecord over(std::uint64_t seq, wire::Outcome outcome, std::uint32_t retries_used,
                          std::uint32_t crashes) {
  return {seq, wire::DeliveryKind::final, outcome, retries_used, crashes, wire::Payload("why")};
}

}  // namespace

TEST_SUITE("retries") {
  TEST_CASE("a failure is charged to `retries`, and with none left it is the answer") {
    Stage s;
    Task& task = s.assign(limited(1, 3));
    s.fail(task);
    CHECK(task.state == TaskState::queued);
    CHECK(task.retries_used == 1);
    CHECK(s.tables.placer.failed_on(task, s.worker));
    CHECK(s.pump() == Actions{s.told(1, charged(1, wire::Outcome::failed, 1, 0))});
    s.lifecycle.assign(task, s.worker);
    s.fail(task);
    CHECK(s.client.tasks.empty());
    CHECK(s.pump() == Actions{s.told(2, over(1, wire::Outcome::failed, 1, 0))});
  }

  TEST_CASE("a crash is charged to crash_limit, whatever the retries") {
    Stage s;
    Task& task = s.assign(limited(0, 2));
    s.fail(task, wire::Outcome::crashed);
    CHECK(task.crashes == 1);
    CHECK(s.pump() == Actions{s.told(1, charged(1, wire::Outcome::crashed, 0, 1))});
    s.lifecycle.assign(task, s.worker);
    s.fail(task, wire::Outcome::crashed);
    CHECK(s.pump() == Actions{s.told(2, over(1, wire::Outcome::crashed, 0, 2))});
  }

  TEST_CASE("a failed task waits for its retry_delay, a crashed one does not") {
    Stage s;
    Task& task = s.assign(limited(5, 5, 2000));
    s.fail(task);
    CHECK(task.state == TaskState::delayed);
    CHECK(task.due == s.step.now() + std::chrono::seconds(2));
    s.lifecycle.queue(task);
    s.lifecycle.assign(task, s.worker);
    s.fail(task, wire::Outcome::crashed);
    CHECK(task.state == TaskState::queued);
  }

  TEST_CASE("an attempt that did not run costs nothing") {
    Stage s;
    Task& task = s.assign(limited(0, 2));
    s.retries.put_back(task);
    CHECK(task.state == TaskState::queued);
    CHECK(task.execution() == 1);
    s.lifecycle.assign(task, s.worker);
    s.fail(task, wire::Outcome::cancelled);
    CHECK(task.state == TaskState::queued);
    CHECK(s.pump() == Actions{});
  }

  TEST_CASE("what could not be fetched is tried again so many times") {
    Stage s;
    Task& task = s.assign(limited(0, 2));
    for (int i = 0; i < s.settings.fetch_tries; ++i) {
      s.fail(task, wire::Outcome::not_fetched);
      REQUIRE(task.state == TaskState::queued);
      s.lifecycle.assign(task, s.worker);
    }
    s.fail(task, wire::Outcome::not_fetched);
    CHECK(s.pump() == Actions{s.told(1, over(1, wire::Outcome::not_fetched, 0, 0))});
  }

  TEST_CASE("a program that does not start on one worker goes to another, and fails when none is left") {
    Stage s;
    s.join_worker(2);
    Task& task = s.assign(program_spec(5));
    s.fail(task, wire::Outcome::cannot_start);
    CHECK(task.state == TaskState::queued);
    CHECK(s.worker.cannot_start->contains(blob_id(5)));
    Worker& other = *s.roster.find_worker(uuid(2));
    s.lifecycle.assign(task, other);
    Task& behind = s.queue_task(s.client, task.spec->number);
    CHECK(behind.seq == 2);
    s.retries.take_failure(
        other, task, {.seq = 1, .outcome = wire::Outcome::cannot_start, .payload = wire::Payload("why")});
    CHECK(s.client.tasks.empty());
    CHECK(s.pump() ==
          Actions{Send{s.client.peer, wire::Deliver{1,
                                                    {over(1, wire::Outcome::cannot_start, 0, 0),
                                                     over(2, wire::Outcome::cannot_start, 0, 0)}}}});
  }

  TEST_CASE("a task that may start once is not started again after its worker was lost") {
    Stage s;
    Task& once = s.assign(limited(3, 1));
    s.retries.take_loss(once, "the worker was lost");
    CHECK(s.client.tasks.empty());
    CHECK(s.client.deliveries.last() == 1);
    Task& again = s.assign(limited(0, 2));
    s.retries.take_loss(again, "the worker was lost");
    CHECK(again.state == TaskState::queued);
    CHECK(again.crashes == 1);
  }

  TEST_CASE("a task that was announced again waits for a claim in the adoption window, and starts after it") {
    Stage s;
    s.tables.adoption.open_window();
    Task& waits = s.add_task(s.client);
    s.retries.start_unclaimed(waits);
    CHECK(waits.state == TaskState::awaiting);
    s.advance(s.settings.adoption_window);
    Task& starts = s.add_task(s.client);
    s.retries.start_unclaimed(starts);
    CHECK(starts.state == TaskState::queued);
    s.tables.specs.define(s.client, 2, limited(0, 1), "");
    s.retries.start_again(s.add_task(s.client, 2));  // it may have been started before
    CHECK(s.client.tasks.find(3) == nullptr);
  }

  TEST_CASE(
      "an adopted attempt that is given back may be elsewhere: its task waits for a claim in the window") {
    Stage s;
    s.tables.adoption.open_window();
    Task& task = s.add_task(s.client);
    s.lifecycle.adopt(task, s.worker, {1, {1, 5}, wire::ClaimState::queued, 1});
    s.retries.put_back(task);
    CHECK(task.state == TaskState::awaiting);
    s.lifecycle.adopt(task, s.worker, {1, {s.settings.epoch, 5}, wire::ClaimState::queued, 1});
    s.retries.put_back(task);  // its last attempt is this broker's own, so its state is known
    CHECK(task.state == TaskState::queued);
  }

  TEST_CASE("an execution whose failure was charged when its worker seemed lost is not charged again") {
    Stage s;
    Task& task = s.add_task(s.client);
    task.crashes = 1;
    s.lifecycle.adopt(task, s.worker, {1, {s.settings.epoch, 5}, wire::ClaimState::running, 1});
    REQUIRE(task.adopted.prepaid);
    s.fail(task, wire::Outcome::crashed);
    CHECK(task.crashes == 1);
    CHECK(task.state == TaskState::queued);
    CHECK(s.pump() == Actions{});
  }

  TEST_CASE("the failure of another attempt counts only if its charge was lost with an earlier broker") {
    Stage s;
    Task& task = s.add_task(s.client);
    s.lifecycle.adopt(task, s.worker, {1, {1, 7}, wire::ClaimState::running, 3});
    const TaskId id{s.client.id, 1};
    s.worker.executions.edit()[{id, {1, 6}}] = 2;
    s.worker.executions.edit()[{id, {s.settings.epoch, 1}}] = 2;
    task.spec->content.retries = 5;
    const wire::ResultRecord failure{
        .seq = 1, .outcome = wire::Outcome::failed, .payload = wire::Payload("why")};
    s.retries.take_lost_failure(s.worker, task, {1, 4}, failure);  // an attempt that is not known
    s.retries.take_lost_failure(s.worker, task, {s.settings.epoch, 1}, failure);  // this broker's own attempt
    CHECK(task.retries_used == 0);
    s.retries.take_lost_failure(s.worker, task, {1, 6}, failure);
    CHECK(task.retries_used == 1);
    CHECK(task.state == TaskState::running);
    CHECK(s.pump() == Actions{s.told(1, charged(1, wire::Outcome::failed, 1, 0))});
  }

  TEST_CASE("a task that is announced again while it is being stopped is executed again") {
    Stage s;
    Task& task = s.assign(limited(0, 2));
    s.lifecycle.cancel(task);
    s.take();
    s.retries.reopen(task, {.seq = 1, .spec = 2, .retries_used = 0, .crashes = 1});
    CHECK(task.state == TaskState::queued);
    CHECK(task.crashes == 1);
    CHECK(s.worker.zombies.size() == 1);
  }

  TEST_CASE("a result that comes again for the current attempt makes the task run again") {
    Stage s;
    Task& task = s.assign(limited(0, 2));
    s.retries.take_result_again(task);
    CHECK(task.state == TaskState::queued);
    CHECK(task.answered);
    s.lifecycle.assign(task, s.worker);
    s.lifecycle.cancel(task);
    s.retries.take_result_again(task);
    CHECK(s.client.tasks.empty());
  }
}
