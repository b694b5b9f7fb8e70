// SPDX-License-Identifier: MIT
// Messages of workers: one function for each. PROTOCOL.md sections 3 to 5.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/scheduler/scheduler.hpp"
#include "broker/scheduler/senders.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

void Scheduler::on_hello(const Received& event, const wire::HelloWorker& hello) {
  const PeerId peer = event.peer;
  if (hello.slots == 0) {
    return refuse(peer, wire::RefuseCode::not_allowed, "a worker needs at least one slot");
  }
  if (!are_amounts(hello.resources)) {
    return refuse(peer, wire::RefuseCode::malformed, "an amount of a resource is negative or not a number");
  }
  Worker* const other = tables_.roster.find_worker_called(hello.name);
  for (const Worker* const known : {other, tables_.roster.find_worker(hello.incarnation)}) {
    if (known == nullptr || identity_of(event.identity).may_use(known->owner)) continue;
    return refuse(peer, wire::RefuseCode::name_taken,
                  fmt::format("worker '{}' belongs to '{}': give this one another --name", known->hello.name,
                              known->owner));
  }
  if (other != nullptr && other->hello.incarnation != hello.incarnation) {
    if (other->peer != kNoPeer) {
      return refuse(
          peer, wire::RefuseCode::name_taken,
          fmt::format("a worker called '{}' has joined already, from host {} with pid {}: give this one "
                      "another --name",
                      hello.name, other->hello.host, other->hello.pid));
    }
    workers_.lose(*other, "another worker has come under its name");  // it was lost: this is its successor
  }
  if (Worker* const worker = tables_.roster.find_worker(hello.incarnation)) drop_peer(worker->peer);
  workers_.join(event, hello);
}

void Scheduler::on_worker_message(Worker& worker, const wire::Message& message) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (!WorkerMessages::has<M>) {
          refuse(worker.peer, wire::RefuseCode::not_allowed,
                 fmt::format("a worker does not send this: {}", wire::describe(message)));
        } else if constexpr (requires { tables_.blobs.on(worker.peer, worker.hello.incarnation, m); }) {
          tables_.blobs.on(worker.peer, worker.hello.incarnation, m);
        } else {
          on(worker, m);
        }
      },
      message);
}

void Scheduler::on(Worker& worker, const wire::Claims& claims) { ClaimMatcher::add(worker, claims); }

void Scheduler::on(Worker& worker, const wire::Ready&) {
  if (worker.state != WorkerState::joining) return;
  worker.state = WorkerState::ready;
  worker.handshake_confirmed = true;
  claim_matcher_.match(worker);
  tables_.blobs.resume(worker.hello.incarnation);
  tables_.placer.update(worker);
  tables_.step.notify({.kind = NoticeKind::worker_joined,
                       .name = worker.hello.name,
                       .place = worker.hello.host,
                       .numbers = {worker.slots}});
}

void Scheduler::on(Worker& worker, const wire::Heartbeat& beat) { workers_.take_heartbeat(worker, beat); }

void Scheduler::on(Worker& worker, const wire::Draining&) { workers_.drain(worker); }

void Scheduler::on(Worker& worker, const wire::Goodbye& goodbye) {
  drop_peer(std::exchange(worker.peer, kNoPeer));
  workers_.lose(worker, goodbye.reason.empty() ? "it said goodbye" : goodbye.reason,
                WorkerPresence::Blame::nobody);
}

void Scheduler::on(Worker& worker, const wire::Results& results) {
  worker.progressed = tables_.step.now();
  take_results(worker, results);
  if (worker.zombies.empty()) return;
  // Only now: a result may have made a zombie of the attempt whose own result follows it.
  for (const wire::ResultRecord& record : results.records) {
    tables_.adoption.remove_zombie(worker, TaskId{results.session, record.seq},
                                   wire::Attempt{results.epoch, record.number});
  }
  tables_.placer.update(worker);
}

void Scheduler::take_results(Worker& worker, const wire::Results& results) {
  Session* session = tables_.roster.find_session(results.session);
  if (session == nullptr) return;  // the worker holds them in escrow; END_SESSION or RESEND follows
  auto& next = worker.sessions.of(session->id).next_outbox;
  if (results.fresh && (!next || *next < results.first)) next = results.first;
  if (!next) return;

  std::uint64_t number = results.first;
  std::uint64_t repeated = 0;
  std::uint64_t taken = 0;  // to be released with all that are delivered here
  for (const wire::ResultRecord& record : results.records) {
    const std::uint64_t current = number++;
    Task* task = session->tasks.find(record.seq);
    const wire::Attempt attempt{results.epoch, record.number};
    if (current < *next) {
      repeated = current;
      if (task != nullptr && task->worker == &worker && task->attempt == attempt)
        retries_.take_result_again(*task);
      // The RELEASE makes the worker drop the result, so a task announced later must not wait for it.
      tables_.adoption.forget_claim(worker, TaskId{results.session, record.seq}, attempt);
    }
    if (current != *next) continue;
    if (task == nullptr && !session->synced && session->state != SessionState::ending) {
      session->resend.insert(worker.hello.incarnation);  // perhaps it is announced in a moment
      next.reset();
      break;
    }
    ++*next;
    ++worker.finished;
    if (task != nullptr) take_result(worker, *task, attempt, record);
    if (!worker.executions.empty()) worker.executions.erase({TaskId{results.session, record.seq}, attempt});
    if (session->detached.empty()) {
      taken = current;
    } else {
      tables_.delivery.release_after_deliveries(*session, worker, current, record.seq);
    }
  }
  if (taken != 0) tables_.delivery.release_after_deliveries(*session, worker, taken, 0);
  if (repeated != 0)
    tables_.delivery.release_after_deliveries(*session, worker, repeated, 0);  // the RELEASE was lost
  if (const double us = std::exchange(session->unsettled_us, 0); us != 0)
    tables_.fair_queue.charge(*session, us);
  tables_.placer.update_credit(worker);
  tables_.placer.update(worker);
}

void Scheduler::take_result(Worker& worker, Task& task, const wire::Attempt& attempt,
                            const wire::ResultRecord& record) {
  const bool current = task.worker == &worker && task.attempt == attempt;
  if (current) {
    constexpr double kWeight = Pacing::kNewestWeight;
    // At least 1 us, because every task costs something; at most a year, because a larger value is wrong and
    // would swamp the sums of fair queueing.
    constexpr double kYear = 365.0 * 86'400 * 1e6;
    const double run_us = std::clamp(static_cast<double>(record.run_us), 1.0, kYear);
    Session& session = *task.session;
    session.unsettled_us += run_us * task.spec->slots - task.charged_us;
    session.average_us += kWeight * (run_us - session.average_us);
    worker.average_us =
        worker.average_us == 0 ? run_us : worker.average_us + kWeight * (run_us - worker.average_us);
    note_end(worker, task, record.outcome);
  }
  if (task.state == TaskState::cancelling) {  // its client has the answer
    if (current) lifecycle_.erase(task);
    return;
  }
  if (record.outcome == wire::Outcome::ok) {
    if (detached_.take_blob_result(worker, task, current, record)) return;
    return lifecycle_.complete(task, current, record.payload);
  }
  if (!current) return retries_.take_lost_failure(worker, task, attempt, record);
  retries_.take_failure(worker, task, record);
}

/// Tells WorkerHealth how an attempt ended; a success also resets the back-off of the worker's refusal.
void Scheduler::note_end(Worker& worker, const Task& task, wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::ok:
      WorkerHealth::note_success(worker);
      if (!worker.cannot_start.empty()) Eligibility::note_start(worker, task.spec->queue->placement->program);
      return;
    case wire::Outcome::failed:
    case wire::Outcome::timed_out:
    case wire::Outcome::crashed:
      if (tables_.health.note_failure(worker)) assigner_.avoid_bad_workers();
      return;
    default:
      return;
  }
}

void Scheduler::on(Worker& worker, const wire::Started& started) {
  worker.progressed = tables_.step.now();
  Session* session = tables_.roster.find_session(started.session);
  if (session == nullptr) return;
  wire::Running running;
  for (const wire::AttemptRecord& record : started.tasks) {
    Task* task = session->tasks.find(record.seq);
    if (task == nullptr || task->worker != &worker || task->attempt != record.attempt) continue;
    if (task->state != TaskState::assigned) continue;
    lifecycle_.note_started(*task);
    running.seqs.push_back(task->seq);
  }
  if (!running.seqs.empty()) tables_.step.send(session->peer, std::move(running));
}

void Scheduler::on(Worker& worker, const wire::Returned& returned) {
  worker.progressed = tables_.step.now();
  Session* session = tables_.roster.find_session(returned.session);
  for (const wire::AttemptRecord& record : returned.tasks) {
    tables_.adoption.remove_zombie(worker, TaskId{returned.session, record.seq}, record.attempt);
    tables_.adoption.forget_claim(worker, TaskId{returned.session, record.seq}, record.attempt);
  }
  tables_.placer.update(worker);
  if (session == nullptr) return;
  for (const wire::AttemptRecord& record : returned.tasks) {
    Task* task = session->tasks.find(record.seq);
    if (task == nullptr || task->worker != &worker || task->attempt != record.attempt) continue;
    if (task->state == TaskState::cancelling) {
      lifecycle_.erase(*task);
    } else {
      retries_.put_back(*task);
    }
  }
  tables_.placer.update(worker);
}

}  // namespace weft::broker
