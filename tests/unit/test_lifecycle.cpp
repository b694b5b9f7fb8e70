// SPDX-License-Identifier: MIT
// Lifecycle alone: the states of a task and the list that each stands for, attempts, and answers.
#include "broker/scheduler/lifecycle.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

wire::TaskSpec needing_gpu() {
  wire::TaskSpec spec = any_spec();
  spec.resources = {{"gpu", 1}};
  spec.threads = 2;
  return spec;
}

struct Stage : Parts {
  using Parts::Parts;
  Session& client = join_client(9);
  Worker& worker = join_worker(1, 4, {.resources = {{"gpu", 2}}});

  ~Stage() { check_invariants(); }
  /// The messages that the client gets at the end of the step.
  Actions pump() {
    for (Session* session : tables.delivery.take_dirty()) tables.delivery.pump(*session);
    return take();
  }
  Send answer(std::uint64_t number, std::uint64_t seq, wire::Outcome outcome,
              const wire::Payload& payload) const {
    return {client.peer, wire::Deliver{number, {{seq, wire::DeliveryKind::final, outcome, 0, 0, payload}}}};
  }
  Send revoke(std::uint64_t seq, std::uint64_t number, wire::RevokeMode mode) const {
    return {worker.peer, wire::Revoke{client.id, mode, {{seq, {settings.epoch, number}}}}};
  }
};

}  // namespace

TEST_SUITE("lifecycle") {
  TEST_CASE("a task has a list for each state, and one at a time") {
    Stage s;
    Task& task = s.add_task(s.client);
    CHECK_FALSE(TaskList::is_in_any(task));
    s.lifecycle.queue(task);
    CHECK(task.state == TaskState::queued);
    CHECK(task.spec->queue->contains(task));
    s.check_invariants();
    s.lifecycle.assign(task, s.worker);
    CHECK(task.state == TaskState::assigned);
    CHECK(s.worker.tasks.contains(task));
    CHECK(s.client.queued == 0);
    s.check_invariants();
    s.lifecycle.note_started(task);
    CHECK(task.state == TaskState::running);
    s.check_invariants();
    s.lifecycle.requeue(task, std::chrono::seconds(1));
    CHECK(task.state == TaskState::delayed);
    CHECK(s.client.delayed.contains(task));
    CHECK(task.worker == nullptr);
    CHECK(task.due == s.step.now() + std::chrono::seconds(1));
    CHECK(s.step.next_timer() == task.due);
    s.check_invariants();
    s.lifecycle.queue(task);
    CHECK(task.state == TaskState::queued);
    s.lifecycle.leave_place(task);
    s.lifecycle.await_claim(task);
    CHECK(task.state == TaskState::awaiting);
    CHECK(s.client.awaiting.contains(task));
    s.check_invariants();
    s.lifecycle.queue(task);
    CHECK(s.client.awaiting.empty());
  }

  TEST_CASE("a task with a worker takes slots and resources there, and gives them back") {
    Stage s;
    s.tables.specs.define(s.client, 2, needing_gpu(), "");
    Task& task = s.assign_task(s.client, s.worker, 2);
    CHECK(s.worker.load() == 2);
    CHECK(s.worker.resources_free.at("gpu") == doctest::Approx(1));
    s.check_invariants();
    s.lifecycle.unbind(task);
    CHECK(s.worker.load() == 0);
    CHECK(s.worker.resources_free.at("gpu") == doctest::Approx(2));
    s.lifecycle.queue(task);
  }

  TEST_CASE("each assignment is a new attempt") {
    Stage s;
    Task& task = s.assign_task(s.client, s.worker);
    CHECK(task.attempt == wire::Attempt{s.settings.epoch, 1});
    task.answered = true;
    s.lifecycle.requeue(task, Duration(0));
    s.lifecycle.assign(task, s.worker);
    CHECK(task.attempt == wire::Attempt{s.settings.epoch, 2});
    CHECK_FALSE(task.answered);
    CHECK(s.assign_task(s.client, s.worker).attempt.number == 3);
  }

  TEST_CASE("an adopted task goes on under the attempt that its worker claims") {
    Stage s;
    Task& task = s.queue_task(s.client);
    task.crashes = 1;
    s.tables.adoption.add_zombie(s.worker, {s.client.id, task.seq}, {1, 5});
    s.lifecycle.adopt(task, s.worker, {task.seq, {1, 5}, wire::ClaimState::running, 1});
    CHECK(task.state == TaskState::running);
    CHECK(task.attempt == wire::Attempt{1, 5});
    CHECK(task.adopted.current);
    CHECK(task.adopted.prepaid);  // execution 1 is the one that was charged
    CHECK(s.worker.zombies.empty());
    s.lifecycle.requeue(task, Duration(0));
    s.lifecycle.adopt(task, s.worker, {task.seq, {1, 6}, wire::ClaimState::done, 2});
    CHECK(task.state == TaskState::assigned);  // the attempt is done, so it is not lost with its worker
    CHECK_FALSE(task.adopted.prepaid);
  }

  TEST_CASE("an abandoned attempt stays with its worker as a zombie") {
    Stage s;
    Task& task = s.assign_task(s.client, s.worker);
    s.lifecycle.abandon_attempt(task);
    CHECK(task.worker == nullptr);
    CHECK(s.worker.zombies->contains({TaskId{s.client.id, task.seq}, task.attempt}));
    s.lifecycle.queue(task);
  }

  TEST_CASE("an answer is delivered once, and what the task took is given back") {
    Stage s;
    Task& task = s.assign_task(s.client, s.worker);
    const std::uint64_t seq = task.seq;
    CHECK(s.roster.queued_bytes() == 3);
    s.lifecycle.complete(task, true, wire::Payload("result"));
    CHECK(s.pump() == Actions{s.answer(1, seq, wire::Outcome::ok, wire::Payload("result"))});
    CHECK(s.client.tasks.find(seq) == nullptr);
    CHECK(s.worker.tasks.empty());
    CHECK(s.roster.queued_bytes() == 0);
    CHECK(s.lifecycle.finished() == 1);
    CHECK(s.client.finished == 1);
    CHECK(s.client.specs.at(1)->open_tasks == 0);
  }

  TEST_CASE("the result of an earlier attempt counts, and the current attempt is stopped") {
    Stage s;
    Task& task = s.assign_task(s.client, s.worker);
    s.lifecycle.complete(task, false, wire::Payload("result"));
    CHECK(task.state == TaskState::cancelling);
    CHECK(s.take() == Actions{s.revoke(task.seq, 1, wire::RevokeMode::cancel)});
    CHECK(s.worker.tasks.contains(task));
    s.lifecycle.erase(task);
  }

  TEST_CASE("a cancelled task is answered at once, and goes when its worker has stopped it") {
    Stage s;
    const wire::Payload cancelled = error_payload("it was cancelled");
    Task& waiting = s.queue_task(s.client);
    Task& running = s.assign_task(s.client, s.worker);
    s.lifecycle.cancel(waiting);
    CHECK(s.client.tasks.find(1) == nullptr);
    CHECK(s.pump() == Actions{s.answer(1, 1, wire::Outcome::cancelled, cancelled)});
    s.lifecycle.cancel(running);
    s.lifecycle.cancel(running);  // said again
    CHECK(running.state == TaskState::cancelling);
    CHECK(s.pump() == Actions{s.revoke(2, 1, wire::RevokeMode::cancel),
                              s.answer(2, 2, wire::Outcome::cancelled, cancelled)});
    s.lifecycle.erase(running);
    CHECK(s.worker.tasks.empty());
    CHECK(s.lifecycle.finished() == 2);
  }

  TEST_CASE("a task whose spec no broker of this version can run is refused when it is queued") {
    Stage s;
    s.tables.specs.define(s.client, 2, any_spec(), "it is too new");
    s.lifecycle.queue(s.add_task(s.client, 2));
    CHECK(s.client.tasks.empty());
    CHECK(s.pump() == Actions{s.answer(1, 1, wire::Outcome::refused, error_payload("it is too new"))});
  }

  TEST_CASE("a queue_timeout runs while the task waits, and what it has waited before counts") {
    Stage s;
    wire::TaskSpec hurried = any_spec();
    hurried.queue_timeout_ms = 1000;
    s.tables.specs.define(s.client, 2, hurried, "");
    Task& task = s.add_task(s.client, 2);
    s.lifecycle.start_queue_timeout(task, 400);
    s.lifecycle.queue(task);
    CHECK(task.due == s.step.now() + std::chrono::milliseconds(600));
    CHECK(s.step.next_timer() == task.due);
    s.lifecycle.assign(task, s.worker);
    s.advance(std::chrono::seconds(2));
    s.lifecycle.requeue(task, Duration(0));  // the task waits once more
    CHECK(task.due == s.step.now() + std::chrono::seconds(1));
    s.lifecycle.fail_unschedulable(task);
    CHECK(s.client.tasks.empty());
    CHECK(s.client.deliveries.last() == 1);
  }

  TEST_CASE("a queue_timeout that is over, or longer than time itself, is no special case") {
    Stage s;
    wire::TaskSpec patient = any_spec();
    patient.queue_timeout_ms = UINT64_MAX;
    s.tables.specs.define(s.client, 2, patient, "");
    Task& task = s.add_task(s.client, 2);
    s.lifecycle.start_queue_timeout(task, 0);
    CHECK(task.due > s.step.now());
    s.lifecycle.start_queue_timeout(task, UINT64_MAX);
    CHECK(task.due == s.step.now() + std::chrono::milliseconds(1));
    s.lifecycle.queue(task);
  }

  TEST_CASE("all tasks of a queue are answered alike") {
    Stage s;
    s.queue_task(s.client);
    s.queue_task(s.client);
    s.lifecycle.answer_all(*s.client.specs.at(1)->queue, wire::Outcome::cannot_start, wire::Payload("why"));
    CHECK(s.client.tasks.empty());
    CHECK(s.pump() == Actions{Send{s.client.peer,
                                   wire::Deliver{1,
                                                 {{1, wire::DeliveryKind::final, wire::Outcome::cannot_start,
                                                   0, 0, wire::Payload("why")},
                                                  {2, wire::DeliveryKind::final, wire::Outcome::cannot_start,
                                                   0, 0, wire::Payload("why")}}}}});
  }
}
