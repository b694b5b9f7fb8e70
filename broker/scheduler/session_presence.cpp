// SPDX-License-Identifier: MIT
#include "broker/scheduler/session_presence.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace weft::broker {

// ---- joining ----

bool SessionPresence::is_stopping(const Session& session) {
  if (session.state == SessionState::ending) return true;
  bool stopping = false;
  if (session.state == SessionState::detached) {
    session.tasks.for_each(
        [&](std::uint64_t, const Task& task) { stopping = stopping || !task.spec->content.detach; });
  }
  return stopping;
}

bool SessionPresence::is_stale(const Session& session, const wire::HelloClient& hello) const {
  return session.handshake_confirmed && hello.epoch == settings_.epoch &&
         hello.delivered > session.deliveries.last();
}

void SessionPresence::join(const Received& event, const wire::HelloClient& hello) {
  const PeerId peer = event.peer;
  const Identity& identity = identity_of(event.identity);
  Session* session = tables_.roster.find_session(hello.session);
  // A client whose WELCOME was lost does not know that this broker has its session, and starts a new one.
  const bool resumed = session != nullptr && session->handshake_confirmed;
  if (session == nullptr) {
    session = &add(hello.session);
    session->owner = identity.name;
    // Workers that claimed tasks of it may have sent results, which were refused while it was unknown.
    for (const auto& [incarnation, worker] : tables_.roster.workers()) {
      if (worker->sessions.find(session->id) != nullptr) session->resend.insert(incarnation);
    }
  }
  session->roles = identity.roles;
  session->name = hello.name;
  session->host = hello.host;
  session->peer = peer;
  session->state = SessionState::connected;
  session->give_up = milliseconds_of(hello.give_up_ms);
  session->synced = false;
  session->unreceived = 0;
  if (resumed) {
    for (const auto& [seq, entry] : session->detached) {
      if (entry.journaled) tables_.delivery.tell_journaled(*session, seq);  // the last JOURNALED may be lost
    }
  } else {
    forget_deliveries(*session);
  }
  tables_.roster.peers().emplace(peer,
                                 Peer{session, nullptr, event.minor, tables_.step.now(), tables_.step.now()});

  tables_.step.send(
      peer,
      wire::Welcome{settings_.epoch, static_cast<std::uint32_t>(settings_.heartbeat_interval.count() / 1000),
                    settings_.heartbeat_liveness, resumed, session->received});
  tables_.step.notify({.kind = resumed ? NoticeKind::client_back : NoticeKind::client_joined,
                       .name = hello.name,
                       .place = hello.host});
  if (resumed && hello.epoch == settings_.epoch) tables_.delivery.acknowledge(*session, hello.delivered);
  session->unseen_answers = session->deliveries.unacknowledged_answers();
  session->deliveries.send_again();
  tables_.delivery.mark_dirty(*session);
  tables_.fair_queue.update(*session);
  tables_.blobs.resume(session->id);
}

void SessionPresence::restore(const SessionRecord& record) {
  Session& session = add(record.id);
  session.name = record.name;
  session.host = record.host;
  session.owner = record.owner;
  session.recorded = true;
  session.state = SessionState::lost;
  session.loss = "this broker has been restarted";
  session.grace_ends = tables_.adoption.window_ends() + settings_.patience(session.give_up);
  tables_.step.start_timer(session.grace_ends, TimerKind::client_grace, session.id);
}

Session& SessionPresence::add(const Uuid& id) {
  Session& session = tables_.roster.add_session(id);
  tables_.fair_queue.add(session);
  return session;
}

/// The next client of this session knows of no delivery, and announces its tasks again.
void SessionPresence::forget_deliveries(Session& session) {
  tables_.delivery.restart(session);
  tables_.attachments.stop_watching(session);
  tables_.delivery.flush_releases(session);
}

// ---- lost and back ----

void SessionPresence::lose(Session& session, const std::string& why, Loss loss) {
  const bool was_silent = session.state == SessionState::silent;
  // When the client's network returns, its old messages arrive first, and then the end of the old connection.
  const Duration silence = settings_.heartbeat_interval * settings_.heartbeat_liveness;
  const bool just_heard = session.heard_again && tables_.step.now() < *session.heard_again + silence;
  session.peer = kNoPeer;
  session.state = SessionState::lost;
  if (loss == Loss::closed) {
    Time ends = tables_.step.now() + settings_.client_grace;
    // A client without heartbeats closes its connection and notices the network's return only by its next
    // attempt to connect; the broker may learn of the closed connection before that attempt.
    if (was_silent || just_heard) ends += silence;
    session.grace_ends = was_silent ? std::min(session.grace_ends, ends) : ends;
  } else if (!was_silent) {
    session.grace_ends = tables_.step.now() + settings_.patience(session.give_up);
  }
  session.loss = why;
  tables_.step.notify({.kind = NoticeKind::client_lost,
                       .name = session.name,
                       .detail = why,
                       .numbers = {us_until(session.grace_ends)}});
  tables_.step.start_timer(session.grace_ends, TimerKind::client_grace, session.id);
  tables_.fair_queue.update(session);
  tables_.blobs.fall_back_from(session.id);
}

void SessionPresence::fall_silent(Session& session, const std::string& why) {
  session.state = SessionState::silent;
  session.loss = why;
  session.grace_ends = tables_.step.now() + settings_.patience(session.give_up);
  tables_.step.notify({.kind = NoticeKind::client_silent,
                       .name = session.name,
                       .detail = why,
                       .numbers = {us_until(session.grace_ends)}});
  tables_.step.start_timer(session.grace_ends, TimerKind::client_grace, session.id);
  tables_.fair_queue.update(session);
  tables_.blobs.fall_back_from(session.id);
}

void SessionPresence::hear_again(Session& session) {
  session.state = SessionState::connected;
  session.heard_again = tables_.step.now();
  tables_.step.notify({.kind = NoticeKind::client_heard, .name = session.name});
  tables_.fair_queue.update(session);
  tables_.delivery.mark_dirty(session);
}

bool SessionPresence::is_overdue(const Session& session) const {
  return session.away() && session.grace_ends <= tables_.step.now();
}

void SessionPresence::renew_grace() {
  for (auto& [id, session] : tables_.roster.sessions()) {
    if (!session->away()) continue;
    session->grace_ends =
        std::max(session->grace_ends,
                 std::max(tables_.step.now(), tables_.adoption.window_ends()) + settings_.client_grace);
    tables_.step.start_timer(session->grace_ends, TimerKind::client_grace, id);
  }
}

std::uint64_t SessionPresence::us_until(Time end) const {
  return static_cast<std::uint64_t>((end - tables_.step.now()).count());
}

// ---- the end ----

void SessionPresence::end(Session& session, const std::string& why) {
  session.state = SessionState::ending;
  std::vector<std::uint64_t> seqs;
  std::size_t running = 0;
  session.tasks.for_each([&](std::uint64_t seq, const Task& task) {
    const Detached* entry = Durable::find(session, seq);
    if (entry != nullptr && (entry->phase != Detached::Phase::saving || entry->recorded)) return;
    if (task.state == TaskState::cancelling) return;  // it is
    seqs.push_back(seq);
    running += task.with_worker();
  });
  const Notice notice{.kind = NoticeKind::client_left,
                      .name = session.name,
                      .detail = why,
                      .numbers = {seqs.size(), running, session.tasks.size() - seqs.size()}};
  tables_.step.notify(notice);
  constexpr std::size_t kDepartedMax = 10;
  if (departed_.size() == kDepartedMax) departed_.pop_front();
  if (!seqs.empty()) departed_.emplace_back(tables_.step.now(), notice);
  for (const std::uint64_t seq : seqs) lifecycle_.cancel(session.tasks.at(seq));
  tables_.delivery.acknowledge(session, session.deliveries.last());  // the client no longer will
  ask_again(session);  // it may never have been synced, and ends when its tasks have
  tables_.attachments.stop_watching(session);
  if (!session.detached.empty()) leave_detached(session);
  tables_.fair_queue.update(session);
  tables_.delivery.mark_dirty(session);
}

/// The client is gone for good, and its detached tasks go on.
void SessionPresence::leave_detached(Session& session) {
  session.state = SessionState::detached;
  session.handshake_confirmed = false;
  session.synced = true;
  tables_.adoption.reject_claims_of(session);
  forget_deliveries(session);
  tables_.blobs.remove_holder(session.id);  // its pending chunks are asked of other holders
  std::vector<std::uint64_t> fetched;       // by other clients, while this one may still have wanted them
  for (const auto& [seq, entry] : session.detached) {
    if (entry.fetched) fetched.push_back(seq);
  }
  for (const std::uint64_t seq : fetched) tables_.durable.drop_when_free(session, seq);
}

void SessionPresence::ask_again(Session& session) {
  for (const Uuid& id : session.resend) {
    if (const Worker* worker = tables_.roster.find_worker(id))
      tables_.step.send(worker->peer, wire::Resend{session.id});
  }
  session.resend.clear();
}

void SessionPresence::remove(Session& session) {
  const Uuid id = session.id;
  tables_.adoption.forget_claims_of(id);
  end_at_workers(id);
  tables_.specs.release_blobs_of(session);
  tables_.roster.remove_session(id);
  tables_.blobs.remove_holder(id);
}

void SessionPresence::give_up(const Uuid& session) {
  tables_.adoption.forget_claims_of(session);
  end_at_workers(session);
  tables_.blobs.remove_holder(session);
}

/// Tells the workers that have anything of the session to drop it.
void SessionPresence::end_at_workers(const Uuid& session) {
  for (auto& [incarnation, worker] : tables_.roster.workers()) {
    if (!worker->sessions.erase(session)) continue;
    worker->claims.erase(session);  // sent before END_SESSION, by a worker that is joining
    worker->zombies.erase_if([&](const auto& zombie) { return zombie.first.session == session; });
    worker->executions.erase_if([&](const auto& entry) { return entry.first.first.session == session; });
    tables_.placer.update(*worker);
    tables_.step.send(worker->peer, wire::EndSession{session});
  }
}

}  // namespace weft::broker
