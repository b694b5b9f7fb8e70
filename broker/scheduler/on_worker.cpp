// SPDX-License-Identifier: MIT
// What workers say: one function for each message. PROTOCOL.md sections 3 to 5.
#include <fmt/format.h>

#include <set>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

void Scheduler::on_hello(PeerId peer, const wire::HelloWorker& hello, std::uint8_t minor) {
  if (hello.slots == 0) {
    return refuse(peer, wire::RefuseCode::not_allowed, "a worker needs at least one slot");
  }
  if (!are_amounts(hello.resources)) {
    return refuse(peer, wire::RefuseCode::malformed, "an amount of a resource is negative or not a number");
  }
  Worker* const other = tables_.roster.find_worker_called(hello.name);
  if (other != nullptr && other->hello.incarnation != hello.incarnation) {
    if (other->peer != kNoPeer) {
      return refuse(
          peer, wire::RefuseCode::name_taken,
          fmt::format("a worker called '{}' has joined already, from host {} with pid {}: give this one "
                      "another --name",
                      hello.name, other->hello.host, other->hello.pid));
    }
    lose_worker(*other, "another worker has come under its name");  // it was lost: this is its successor
  }

  Worker* worker = tables_.roster.find_worker(hello.incarnation);
  const bool resumed = worker != nullptr && worker->handshake_confirmed;
  if (worker == nullptr) {
    worker = &tables_.roster.add_worker(hello);
    worker->resources_free = hello.resources;
    worker->slots = hello.slots;
    worker->minor = minor;
    worker->progressed = tables_.step.now();
    if (tables_.eligibility.add(*worker)) tables_.fair_queue.set_large_apart();
  }
  if (worker->peer != kNoPeer) drop_peer(worker->peer);
  worker->peer = peer;
  worker->state = WorkerState::joining;
  worker->claims.clear();
  tables_.adoption.remove_zombies(*worker);  // it says again what it has
  worker->executions.clear();
  worker->sessions.for_each([](WorkerSession& known) { known.spec_sent.clear(); });
  worker->last_spec_session = 0;
  set_hold(*worker, {});  // it says again whether it does
  tables_.roster.peers().emplace(peer, Peer{nullptr, worker, minor, tables_.step.now(), tables_.step.now()});
  tables_.placer.update(*worker);
  tables_.step.send(
      peer,
      wire::Welcome{settings_.epoch, static_cast<std::uint32_t>(settings_.heartbeat_interval.count() / 1000),
                    settings_.heartbeat_liveness, resumed, 0});
}

void Scheduler::on_worker_message(Worker& worker, const wire::Message& message) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (requires { this->on(worker, m); }) {
          on(worker, m);
        } else if constexpr (std::is_same_v<M, wire::Get> || std::is_same_v<M, wire::Data> ||
                             std::is_same_v<M, wire::Gone>) {
          tables_.blobs.on(worker.peer, worker.hello.incarnation, m);
        } else if constexpr (std::is_same_v<M, wire::Goodbye>) {
          drop_peer(worker.peer);
          worker.peer = kNoPeer;
          lose_worker(worker, m.reason.empty() ? "it said goodbye" : m.reason, Blame::nobody);
        } else {
          refuse(worker.peer, wire::RefuseCode::not_allowed,
                 fmt::format("a worker does not send this: {}", wire::describe(message)));
        }
      },
      message);
}

void Scheduler::on(Worker& worker, const wire::Claims& claims) {
  if (worker.state != WorkerState::joining) return;
  auto& known = worker.claims[claims.session];
  known.insert(known.end(), claims.tasks.begin(), claims.tasks.end());
}

void Scheduler::on(Worker& worker, const wire::Ready&) {
  if (worker.state != WorkerState::joining) return;
  worker.state = WorkerState::ready;
  worker.handshake_confirmed = true;

  // What we assigned and it does not have: the ASSIGN was lost with the old connection. It may still have
  // an earlier attempt of the same task.
  std::set<std::pair<TaskId, wire::Attempt>> claimed;
  for (const auto& [session, claims] : worker.claims) {
    for (const wire::ClaimRecord& claim : claims) claimed.emplace(TaskId{session, claim.seq}, claim.attempt);
  }
  for (Task* task = worker.tasks.front(); task != nullptr;) {
    Task& current = *task;
    task = TaskList::after(current);
    if (claimed.contains({TaskId{current.session->id, current.seq}, current.attempt})) continue;
    if (current.state == TaskState::cancelling) {
      lifecycle_.erase(current);
    } else {
      retries_.put_back(current);
    }
  }
  const auto claims = std::move(worker.claims);
  worker.claims.clear();
  tables_.adoption.forget_claims_of(worker);  // it has claimed again what it still has
  for (const auto& [session, records] : claims) {
    worker.sessions.of(session);  // which will hear of its end
    if (tables_.roster.find_session(session) == nullptr) tables_.adoption.await_session(session);
    for (const wire::ClaimRecord& record : records) {
      if (record.state == wire::ClaimState::unknown) {  // of a newer worker: nothing can be made of it
        tables_.adoption.reject(worker, session, record);
        continue;
      }
      if (record.state == wire::ClaimState::done)
        worker.executions.edit()[{TaskId{session, record.seq}, record.attempt}] = record.execution;
      claim(worker, session, record);
    }
  }
  tables_.blobs.resume(worker.hello.incarnation);
  tables_.placer.update(worker);
  tables_.step.log(Log::Level::info,
                   fmt::format("worker {} joined from {} with {} slot{}", worker.hello.name,
                               worker.hello.host, worker.slots, worker.slots == 1 ? "" : "s"));
}

void Scheduler::claim(Worker& worker, const Uuid& session_id, const wire::ClaimRecord& claim) {
  Session* session = tables_.roster.find_session(session_id);
  Task* task = session != nullptr ? find_task(*session, claim.seq) : nullptr;
  if (task == nullptr) {
    if (session == nullptr || !session->synced) {
      tables_.adoption.keep_claim(worker, session_id, claim);
    } else {
      tables_.adoption.reject(worker, session_id, claim);
    }
    return;
  }
  if (task->state == TaskState::saving) {  // it is answered, and the answer on its way into the journal
    tables_.adoption.reject(worker, session_id, claim);
    return;
  }
  if (!task->with_worker()) {
    try_adopt(worker, *task, claim);
    return;
  }
  if (task->worker == &worker && task->attempt == claim.attempt) {
    if (task->state == TaskState::cancelling) {
      lifecycle_.revoke(*task, wire::RevokeMode::cancel);
    } else if (claim.state == wire::ClaimState::running && task->state == TaskState::assigned) {
      lifecycle_.note_started(*task);
    }
    return;
  }
  if (task->state == TaskState::cancelling) {  // its client has its answer: no attempt is needed any more
    tables_.adoption.reject(worker, session_id, claim);
    return;
  }
  if (const HeldClaim adopted = Adoption::adopted_claim(*task);
      Adoption::is_later({&worker, claim}, adopted)) {
    lifecycle_.unbind(*task);
    tables_.adoption.reject(*adopted.worker, session_id, adopted.claim);
    return lifecycle_.adopt(*task, worker, claim);
  }
  tables_.adoption.reject(worker, session_id, claim);  // it is elsewhere by now
}

/// Adopts a task that no worker has, unless the claim is stale or over. True: it is adopted.
bool Scheduler::try_adopt(Worker& worker, Task& task, const wire::ClaimRecord& claim) {
  if (Adoption::is_stale(task, claim)) {
    tables_.adoption.reject(worker, task.session->id, claim);
    return false;
  }
  if (tables_.adoption.is_over(task, claim)) return false;
  lifecycle_.adopt(task, worker, claim);
  return true;
}

void Scheduler::on(Worker& worker, const wire::Heartbeat& beat) {
  const bool held = worker.holds;
  if (!held && beat.hold.empty()) return;
  set_hold(worker, beat);
  if (!held) {
    tables_.step.log(Log::Level::warning, fmt::format("worker {}: {}", worker.hello.name, worker.note));
  } else if (!worker.holds) {
    tables_.step.log(Log::Level::info, fmt::format("worker {} takes tasks again", worker.hello.name));
  }
}

/// From now on its credit is what it says.
void Scheduler::set_hold(Worker& worker, const wire::Heartbeat& beat) {
  if (worker.holds || !beat.hold.empty()) worker.note = Eligibility::why_held(beat);
  worker.hold = beat;
  worker.holds = !beat.hold.empty();
  tables_.placer.update_credit(worker);
  tables_.placer.update(worker);
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
  if (session == nullptr) return;  // it keeps them; END_SESSION or RESEND follows
  auto& next = worker.sessions.of(session->id).next_outbox;
  if (results.fresh && (!next || *next < results.first)) next = results.first;
  if (!next) return;

  std::uint64_t number = results.first;
  std::uint64_t repeated = 0;
  std::uint64_t taken = 0;  // to be released with all that are delivered here
  for (const wire::ResultRecord& record : results.records) {
    const std::uint64_t current = number++;
    Task* task = find_task(*session, record.seq);
    const wire::Attempt attempt{results.epoch, record.number};
    if (current < *next) {
      repeated = current;
      if (task != nullptr && task->worker == &worker && task->attempt == attempt)
        retries_.take_result_again(*task);
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
    constexpr double kWeight = 1.0 / 32;  // of the newest task in the averages
    // Too short to measure is still a time; more than a year is what a runner made up, and in the sums that
    // decide who is next everything else would vanish beside it.
    constexpr double kYear = 365.0 * 86'400 * 1e6;
    const double run_us = std::clamp(static_cast<double>(record.run_us), 1.0, kYear);
    Session& session = *task.session;
    session.unsettled_us += run_us * task.spec->slots - task.charged_us;
    session.average_us += kWeight * (run_us - session.average_us);
    worker.average_us =
        worker.average_us == 0 ? run_us : worker.average_us + kWeight * (run_us - worker.average_us);
    note_end(worker, task, record.outcome);
  }
  if (task.state == TaskState::cancelling) {  // its client has its answer
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

/// For what is known of the worker.
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
    Task* task = find_task(*session, record.seq);
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
    Task* task = find_task(*session, record.seq);
    if (task == nullptr || task->worker != &worker || task->attempt != record.attempt) continue;
    if (task->state == TaskState::cancelling) {
      lifecycle_.erase(*task);
    } else {
      retries_.put_back(*task);
    }
  }
  tables_.placer.update(worker);
}

void Scheduler::on(Worker& worker, const wire::Draining&) {
  if (worker.state != WorkerState::ready) return;
  worker.state = WorkerState::draining;
  tables_.placer.update(worker);
  tables_.step.log(Log::Level::info, fmt::format("worker {} is draining", worker.hello.name));
}

/// Its connection is gone. It has a moment to come back before its tasks go elsewhere.
void Scheduler::lose_connection(Worker& worker) {
  worker.peer = kNoPeer;
  worker.state = WorkerState::lost;
  worker.gone_ends = tables_.step.now() + settings_.gone_grace;
  tables_.placer.update(worker);
  tables_.step.start_timer(worker.gone_ends, TimerKind::worker_gone, worker.hello.incarnation);
}

void Scheduler::lose_worker(Worker& worker, const std::string& why, Blame blame) {
  worker.state = WorkerState::lost;
  tables_.placer.update(worker);
  tables_.step.log(Log::Level::warning, fmt::format("worker {} has left ({}); {} tasks go back",
                                                    worker.hello.name, why, worker.tasks.size()));
  while (Task* task = worker.tasks.front()) {
    if (task->state == TaskState::cancelling) {
      lifecycle_.erase(*task);
      continue;
    }
    // At most once: a task that may have started must not be started again.
    const bool at_most_once = task->spec->content.crash_limit <= 1;
    if (at_most_once || (task->state == TaskState::running && blame == Blame::running)) {
      retries_.take_loss(*task, "the worker was lost: " + why);
    } else {
      retries_.put_back(*task);
    }
  }
  tables_.adoption.forget_claims_of(worker);
  tables_.adoption.remove_zombies(worker);
  const Uuid incarnation = worker.hello.incarnation;
  tables_.eligibility.remove(worker);
  tables_.roster.remove_worker(worker);
  tables_.blobs.remove_holder(incarnation);
}

}  // namespace weft::broker
