// SPDX-License-Identifier: MIT
#include "broker/scheduler/worker_presence.hpp"

namespace weft::broker {

// ---- here ----

void WorkerPresence::join(const Received& event, const wire::HelloWorker& hello) {
  const PeerId peer = event.peer;
  Worker* worker = tables_.roster.find_worker(hello.incarnation);
  const bool resumed = worker != nullptr && worker->handshake_confirmed;
  if (worker == nullptr) {
    worker = &tables_.roster.add_worker(hello);
    worker->resources_free = hello.resources;
    worker->slots = hello.slots;
    worker->minor = event.minor;
    worker->owner = identity_of(event.identity).name;
    worker->progressed = tables_.step.now();
    if (tables_.eligibility.add(*worker)) tables_.fair_queue.set_large_apart();
  }
  worker->peer = peer;
  worker->state = WorkerState::joining;
  worker->claims.clear();
  tables_.adoption.remove_zombies(*worker);  // the worker claims its attempts again
  worker->executions.clear();
  worker->sessions.for_each([](WorkerSession& known) { known.spec_sent.clear(); });
  worker->last_spec_session = 0;
  set_hold(*worker, {});  // the next heartbeat says whether the worker holds
  tables_.roster.peers().emplace(peer,
                                 Peer{nullptr, worker, event.minor, tables_.step.now(), tables_.step.now()});
  tables_.placer.update(*worker);
  tables_.step.send(
      peer,
      wire::Welcome{settings_.epoch, static_cast<std::uint32_t>(settings_.heartbeat_interval.count() / 1000),
                    settings_.heartbeat_liveness, resumed, 0});
}

void WorkerPresence::take_heartbeat(Worker& worker, const wire::Heartbeat& beat) {
  const bool held = worker.holds;
  if (!held && beat.hold.empty()) return;
  set_hold(worker, beat);
  if (!held) {
    tables_.step.notify({.kind = NoticeKind::worker_held, .name = worker.hello.name, .detail = worker.note});
  } else if (!worker.holds) {
    tables_.step.notify({.kind = NoticeKind::worker_accepts, .name = worker.hello.name});
  }
}

/// Applies the hold of a heartbeat to the worker's credit.
void WorkerPresence::set_hold(Worker& worker, const wire::Heartbeat& beat) {
  if (worker.holds || !beat.hold.empty()) worker.note = Eligibility::why_held(beat);
  worker.hold = beat;
  worker.holds = !beat.hold.empty();
  tables_.placer.update_credit(worker);
  tables_.placer.update(worker);
}

void WorkerPresence::drain(Worker& worker) {
  if (worker.state != WorkerState::ready) return;
  worker.state = WorkerState::draining;
  tables_.placer.update(worker);
  tables_.step.notify({.kind = NoticeKind::worker_draining, .name = worker.hello.name});
}

// ---- lost and gone ----

void WorkerPresence::lose_connection(Worker& worker, const std::string& why) {
  tables_.step.notify({.kind = NoticeKind::worker_lost, .name = worker.hello.name, .detail = why});
  worker.peer = kNoPeer;
  worker.state = WorkerState::lost;
  worker.gone_ends = tables_.step.now() + settings_.gone_grace;
  tables_.placer.update(worker);
  tables_.step.start_timer(worker.gone_ends, TimerKind::worker_gone, worker.hello.incarnation);
}

void WorkerPresence::on_gone_timer(const Uuid& incarnation) {
  Worker* const worker = tables_.roster.find_worker(incarnation);
  if (worker == nullptr || worker->state != WorkerState::lost) return;
  if (worker->gone_ends <= tables_.step.now()) lose(*worker, "its connection broke");
}

void WorkerPresence::renew_grace() {
  for (auto& [id, worker] : tables_.roster.workers()) {
    if (worker->state != WorkerState::lost) continue;
    worker->gone_ends = tables_.step.now() + settings_.gone_grace;
    tables_.step.start_timer(worker->gone_ends, TimerKind::worker_gone, id);
  }
}

void WorkerPresence::lose(Worker& worker, const std::string& why, Blame blame) {
  worker.state = WorkerState::lost;
  tables_.placer.update(worker);
  tables_.step.notify({.kind = NoticeKind::worker_left,
                       .name = worker.hello.name,
                       .detail = why,
                       .numbers = {worker.tasks.size()}});
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
