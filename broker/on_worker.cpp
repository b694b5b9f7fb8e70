// SPDX-License-Identifier: MIT
// What workers say: one function for each message. PROTOCOL.md sections 3 to 5.
#include <fmt/format.h>

#include <set>

#include "broker/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

void Scheduler::on_hello(PeerId peer, const wire::HelloWorker& hello, std::uint8_t minor) {
  if (hello.slots == 0) {
    return refuse(peer, wire::RefuseCode::not_allowed, "a worker needs at least one slot");
  }
  if (!are_amounts(hello.resources)) {
    return refuse(peer, wire::RefuseCode::malformed, "an amount of a resource is negative or not a number");
  }
  Worker* const other = roster_.find_worker_called(hello.name);
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

  Worker* worker = roster_.find_worker(hello.incarnation);
  const bool resumed = worker != nullptr && worker->met;
  if (worker == nullptr) {
    worker = &roster_.add_worker(hello);
    worker->resources_free = hello.resources;
    worker->slots = hello.slots;
    worker->minor = minor;
    worker->progressed = step_.now();
    if (eligibility_.add(*worker)) fair_queue_.set_large_apart();
  }
  if (worker->peer != kNoPeer) drop_peer(worker->peer);
  worker->peer = peer;
  worker->state = WorkerState::joining;
  worker->claims.clear();
  drop_strays(*worker);  // it says again what it has
  worker->executions.clear();
  worker->sessions.for_each([](WorkerSession& known) { known.told.clear(); });
  worker->told_session = 0;
  set_hold(*worker, {});  // it says again whether it does
  roster_.peers().emplace(peer, Peer{nullptr, worker, minor, step_.now(), step_.now()});
  placer_.update(*worker);
  step_.send(peer, wire::Welcome{settings_.epoch,
                                 static_cast<std::uint32_t>(settings_.heartbeat_interval.count() / 1000),
                                 settings_.heartbeat_liveness, resumed, 0});
}

void Scheduler::on_worker_message(Worker& worker, const wire::Message& message) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (requires { this->on(worker, m); }) {
          on(worker, m);
        } else if constexpr (std::is_same_v<M, wire::Get> || std::is_same_v<M, wire::Data> ||
                             std::is_same_v<M, wire::Gone>) {
          on_blob_message(worker.peer, worker.hello.incarnation, message);
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
  worker.met = true;

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
      erase(current);
    } else {
      put_back(current);
    }
  }
  const auto claims = std::move(worker.claims);
  worker.claims.clear();
  std::erase_if(orphans_, [&](const auto& entry) { return entry.second.worker == &worker; });  // claimed anew
  for (const auto& [session, records] : claims) {
    worker.sessions.of(session);  // which will hear of its end
    if (roster_.find_session(session) == nullptr) expect(session);
    for (const wire::ClaimRecord& record : records) {
      if (record.state == wire::ClaimState::unknown) {  // of a newer worker: nothing can be made of it
        disown(worker, session, record);
        continue;
      }
      if (record.state == wire::ClaimState::done)
        worker.executions.edit()[{TaskId{session, record.seq}, record.attempt}] = record.execution;
      claim(worker, session, record);
    }
  }
  BlobRelay::Outbox outbox;
  blobs_.resume(worker.hello.incarnation, outbox);
  pass_on(outbox);
  placer_.update(worker);
  step_.log(Log::Level::info, fmt::format("worker {} joined from {} with {} slots", worker.hello.name,
                                          worker.hello.host, worker.slots));
}

void Scheduler::claim(Worker& worker, const Uuid& session_id, const wire::ClaimRecord& claim) {
  Session* session = roster_.find_session(session_id);
  Task* task = session != nullptr ? find_task(*session, claim.seq) : nullptr;
  if (task == nullptr) {
    if (session == nullptr || !session->synced) {
      HeldClaim& orphan = orphans_[TaskId{session_id, claim.seq}];
      HeldClaim earlier{&worker, claim};
      if (orphan.worker == nullptr || is_later(earlier, orphan)) std::swap(orphan, earlier);
      if (claim.state != wire::ClaimState::done) take_stray(worker, {session_id, claim.seq}, claim.attempt);
      if (earlier.worker != nullptr) disown(*earlier.worker, session_id, earlier.claim);
    } else {
      disown(worker, session_id, claim);
    }
    return;
  }
  if (task->state == TaskState::saving) {  // it is answered, and the answer on its way into the journal
    disown(worker, session_id, claim);
    return;
  }
  if (!task->with_worker()) {
    take_up(worker, *task, claim);
    return;
  }
  if (task->worker == &worker && task->attempt == claim.attempt) {
    if (task->state == TaskState::cancelling) {
      revoke(*task, wire::RevokeMode::cancel);
    } else if (claim.state == wire::ClaimState::running && task->state == TaskState::assigned) {
      task->state = TaskState::running;
      task->since = step_.now();
    }
    return;
  }
  if (task->state == TaskState::cancelling) {  // its client has its answer: no attempt is needed any more
    disown(worker, session_id, claim);
    return;
  }
  if (const HeldClaim adopted = adopted_claim(*task); is_later({&worker, claim}, adopted)) {
    detach(*task);
    disown(*adopted.worker, session_id, adopted.claim);
    return adopt(worker, *task, claim);
  }
  disown(worker, session_id, claim);  // it is elsewhere by now
}

/// A task that is nowhere goes on where it is claimed, if it can. False: it cannot, or is over there.
bool Scheduler::take_up(Worker& worker, Task& task, const wire::ClaimRecord& claim) {
  if (is_left_behind(task, claim)) {
    disown(worker, task.session->id, claim);
    return false;
  }
  if (is_over(task, claim)) return false;
  adopt(worker, task, claim);
  return true;
}

/// It was not started, and the task was executed elsewhere meanwhile, and charged for it.
bool Scheduler::is_left_behind(const Task& task, const wire::ClaimRecord& claim) {
  return claim.state == wire::ClaimState::queued && claim.execution < task.execution();
}

/// A failure that was counted, or that of an attempt before the last, is no reason to wait for it again. (A
/// success counts when it comes, whatever its attempt.)
bool Scheduler::is_over(const Task& task, const wire::ClaimRecord& claim) const {
  if (claim.state != wire::ClaimState::done) return false;
  if (claim.execution < task.execution()) return true;  // perhaps by an earlier broker
  if (task.attempt.number == 0) return false;
  if (task.attempt == claim.attempt) return task.answered;
  if (task.attempt.epoch == claim.attempt.epoch) return claim.attempt.number < task.attempt.number;
  return task.attempt.epoch == settings_.epoch;  // the claim is of a broker before us
}

/// That by which the task is where it is; no worker: we assigned it ourselves.
HeldClaim Scheduler::adopted_claim(const Task& task) {
  if (!task.adopted) return {};
  auto state = task.state == TaskState::assigned ? wire::ClaimState::queued : wire::ClaimState::running;
  if (task.worker->executions->contains({TaskId{task.session->id, task.seq}, task.attempt}))
    state = wire::ClaimState::done;
  return {task.worker, {task.seq, task.attempt, state, task.claimed}};
}

/// Of two claims of one task, that of the later attempt is adopted: PROTOCOL.md section 4, table E.
bool Scheduler::is_later(const HeldClaim& one, const HeldClaim& other) {
  using enum wire::ClaimState;
  if (other.worker == nullptr) return false;
  const auto are = [&](wire::ClaimState a, wire::ClaimState b) {
    return one.claim.state == a && other.claim.state == b;
  };
  if (are(running, done) || are(done, running)) return one.claim.state == running;
  if (one.claim.attempt.epoch == other.claim.attempt.epoch)
    return one.claim.attempt.number > other.claim.attempt.number;
  if (one.claim.execution != other.claim.execution) return one.claim.execution > other.claim.execution;
  // A worker that was cut off for the life of a broker may have a queued attempt of an earlier one.
  if (one.claim.state != other.claim.state) return one.claim.state != queued;
  return one.worker == other.worker;  // a worker says them in the order of their ends
}

/// From now on it takes a slot.
void Scheduler::take_stray(Worker& worker, const TaskId& task, const wire::Attempt& attempt) {
  worker.strays.edit().insert({task, attempt});
  placer_.update(worker);
}

/// It does not have it any more. A session that has ended but for that is over.
void Scheduler::drop_stray(Worker& worker, const TaskId& task, const wire::Attempt& attempt) {
  worker.strays.erase({task, attempt});
  if (Session* session = roster_.find_session(task.session)) delivery_.mark_dirty(*session);
}

void Scheduler::drop_strays(Worker& worker) {
  while (!worker.strays.empty()) {
    const auto [task, attempt] = *worker.strays->begin();
    drop_stray(worker, task, attempt);
  }
}

/// Whether a worker still has something of it that it was told to stop. (Before SYNCED it was not:
/// END_SESSION tells it.)
bool Scheduler::is_being_stopped(const Session& session) const {
  return session.synced &&
         std::any_of(roster_.workers().begin(), roster_.workers().end(), [&](const auto& entry) {
           const auto& strays = entry.second->strays;
           if (strays.empty()) return false;
           const auto first = strays->lower_bound({TaskId{session.id, 0}, {}});
           return first != strays->end() && first->first.session == session.id;
         });
}

/// The task goes on without its worker, which has been told to stop the attempt.
void Scheduler::leave_behind(Task& task) {
  take_stray(*task.worker, TaskId{task.session->id, task.seq}, task.attempt);
  detach(task);
}

/// Nobody needs what it has there. Until it says that it has stopped it, it is a stray.
void Scheduler::disown(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim) {
  if (claim.state == wire::ClaimState::done) return;
  take_stray(worker, {session, claim.seq}, claim.attempt);
  step_.send(worker.peer, wire::Revoke{session, wire::RevokeMode::cancel, {{claim.seq, claim.attempt}}});
}

void Scheduler::adopt(Worker& worker, Task& task, const wire::ClaimRecord& claim) {
  drop_stray(worker, TaskId{task.session->id, task.seq}, claim.attempt);
  fair_queue_.remove(task);
  // What is done, however it ended, has nothing to do with it when its worker is lost.
  attach(task, worker, claim.attempt,
         claim.state == wire::ClaimState::running ? TaskState::running : TaskState::assigned);
  task.adopted = true;
  task.claimed = claim.execution;
  task.counted = claim.execution < task.execution();
  task.untold = task.execution();
}

void Scheduler::on(Worker& worker, const wire::Heartbeat& beat) {
  const bool held = worker.holds;
  if (!held && beat.hold.empty()) return;
  set_hold(worker, beat);
  if (!held) {
    step_.log(Log::Level::warning, fmt::format("worker {}: {}", worker.hello.name, worker.note));
  } else if (!worker.holds) {
    step_.log(Log::Level::info, fmt::format("worker {} takes tasks again", worker.hello.name));
  }
}

/// From now on its credit is what it says.
void Scheduler::set_hold(Worker& worker, const wire::Heartbeat& beat) {
  if (worker.holds || !beat.hold.empty()) worker.note = eligibility_.why_held(beat);
  worker.hold = beat;
  worker.holds = !beat.hold.empty();
  placer_.update_credit(worker);
  placer_.update(worker);
}

void Scheduler::on(Worker& worker, const wire::Results& results) {
  worker.progressed = step_.now();
  take_results(worker, results);
  if (worker.strays.empty()) return;
  // Only now: a result may have made a stray of the attempt whose own result comes behind it.
  for (const wire::ResultRecord& record : results.records) {
    drop_stray(worker, TaskId{results.session, record.seq}, wire::Attempt{results.epoch, record.number});
  }
  placer_.update(worker);
}

void Scheduler::take_results(Worker& worker, const wire::Results& results) {
  Session* session = roster_.find_session(results.session);
  if (session == nullptr) return;  // it keeps them; END_SESSION or RESEND follows
  auto& next = worker.sessions.of(session->id).next_outbox;
  if (results.fresh && (!next || *next < results.first)) next = results.first;
  if (!next) return;

  std::uint64_t number = results.first;
  std::uint64_t repeated = 0;
  std::uint64_t taken = 0;  // to be released with all that are delivered here
  for (const wire::ResultRecord& record : results.records) {
    const std::uint64_t current = number++;
    if (current < *next) repeated = current;
    if (current != *next) continue;
    Task* task = find_task(*session, record.seq);
    if (task == nullptr && !session->synced && session->state != SessionState::ending) {
      session->resend.insert(worker.hello.incarnation);  // perhaps it is announced in a moment
      next.reset();
      break;
    }
    ++*next;
    ++worker.finished;
    if (task != nullptr) take_result(worker, *task, wire::Attempt{results.epoch, record.number}, record);
    if (!worker.executions.empty()) {
      worker.executions.erase({TaskId{results.session, record.seq}, {results.epoch, record.number}});
    }
    if (session->detached.empty()) {
      taken = current;
    } else {
      delivery_.release_after_deliveries(*session, worker, current, record.seq);
    }
  }
  if (taken != 0) delivery_.release_after_deliveries(*session, worker, taken, 0);
  if (repeated != 0)
    delivery_.release_after_deliveries(*session, worker, repeated, 0);  // the RELEASE was lost
  if (const double us = std::exchange(session->unsettled_us, 0); us != 0) fair_queue_.charge(*session, us);
  placer_.update_credit(worker);
  placer_.update(worker);
}

void Scheduler::on(Worker& worker, const wire::Started& started) {
  worker.progressed = step_.now();
  Session* session = roster_.find_session(started.session);
  if (session == nullptr) return;
  wire::Running running;
  for (const wire::AttemptRecord& record : started.tasks) {
    Task* task = find_task(*session, record.seq);
    if (task == nullptr || task->worker != &worker || task->attempt != record.attempt) continue;
    if (task->state != TaskState::assigned) continue;
    task->state = TaskState::running;
    task->since = step_.now();
    running.seqs.push_back(task->seq);
  }
  if (!running.seqs.empty()) step_.send(session->peer, std::move(running));
}

void Scheduler::on(Worker& worker, const wire::Returned& returned) {
  worker.progressed = step_.now();
  Session* session = roster_.find_session(returned.session);
  for (const wire::AttemptRecord& record : returned.tasks) {
    drop_stray(worker, TaskId{returned.session, record.seq}, record.attempt);
    const auto orphan = orphans_.find(TaskId{returned.session, record.seq});
    if (orphan != orphans_.end() && orphan->second.worker == &worker &&
        orphan->second.claim.attempt == record.attempt) {
      orphans_.erase(orphan);
    }
  }
  placer_.update(worker);
  if (session == nullptr) return;
  for (const wire::AttemptRecord& record : returned.tasks) {
    Task* task = find_task(*session, record.seq);
    if (task == nullptr || task->worker != &worker || task->attempt != record.attempt) continue;
    if (task->state == TaskState::cancelling) {
      erase(*task);
    } else {
      put_back(*task);
    }
  }
  placer_.update(worker);
}

void Scheduler::on(Worker& worker, const wire::Draining&) {
  if (worker.state != WorkerState::ready) return;
  worker.state = WorkerState::draining;
  placer_.update(worker);
  step_.log(Log::Level::info, fmt::format("worker {} is draining", worker.hello.name));
}

/// Its connection is gone. It has a moment to come back before its tasks go elsewhere.
void Scheduler::lose_connection(Worker& worker) {
  worker.peer = kNoPeer;
  worker.state = WorkerState::lost;
  worker.gone_ends = step_.now() + settings_.gone_grace;
  placer_.update(worker);
  step_.start_timer(worker.gone_ends, TimerKind::worker_gone, worker.hello.incarnation);
}

void Scheduler::lose_worker(Worker& worker, const std::string& why, Blame blame) {
  worker.state = WorkerState::lost;
  placer_.update(worker);
  step_.log(Log::Level::warning, fmt::format("worker {} has left ({}); {} tasks go back", worker.hello.name,
                                             why, worker.tasks.size()));
  while (Task* task = worker.tasks.front()) {
    if (task->state == TaskState::cancelling) {
      erase(*task);
      continue;
    }
    // At most once: a task that may have started must not be started again.
    const bool at_most_once = task->spec->content.crash_limit <= 1;
    if (at_most_once || (task->state == TaskState::running && blame == Blame::running)) {
      charge(*task, wire::Outcome::crashed,
             wire::Payload(wire::encode_error(loss_of(worker, *task, "the worker was lost: " + why))));
    } else {
      put_back(*task);
    }
  }
  std::erase_if(orphans_, [&](const auto& entry) { return entry.second.worker == &worker; });
  drop_strays(worker);
  const Uuid incarnation = worker.hello.incarnation;
  std::erase(assigned_to_, &worker);
  eligibility_.remove(worker);
  roster_.remove_worker(worker);
  remove_holder(incarnation);
}

}  // namespace weft::broker
