// SPDX-License-Identifier: MIT
// What clients say: one function for each message. PROTOCOL.md sections 4 and 5.
#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

namespace {
constexpr std::size_t kRecordBytes = 16;  // about what a task costs on the wire beside its payload
}  // namespace

void Scheduler::on_hello(PeerId peer, const wire::HelloClient& hello, std::uint8_t minor) {
  Session* session = tables_.roster.find_session(hello.session);
  bool stopping = false;
  if (session != nullptr && session->state == SessionState::detached) {
    session->tasks.for_each(
        [&](std::uint64_t, const Task& task) { stopping = stopping || !task.spec->content.detach; });
  }
  if (stopping || (session != nullptr && session->state == SessionState::ending)) {
    // Its tasks are being stopped. It tries again in a moment and is then a new session.
    return refuse(peer, wire::RefuseCode::unknown_peer, "this session is just being ended: try again");
  }
  // One that has not heard of our having it (its WELCOME was lost) begins as if we did not.
  const bool resumed = session != nullptr && session->handshake_confirmed;
  // What it has had is more than there was: it said so on another connection before its session here ended
  // and began anew, and hears of that on a later one.
  if (resumed && hello.epoch == settings_.epoch && hello.delivered > session->deliveries.last()) {
    return refuse(peer, wire::RefuseCode::unknown_peer, "this HELLO is older than the session: say it again");
  }
  if (session == nullptr) {
    session = &add_session(hello.session);
    // Whoever has claimed something of it may have sent results, and we had no use for them yet.
    for (const auto& [incarnation, worker] : tables_.roster.workers()) {
      if (worker->sessions.find(session->id) != nullptr) session->resend.insert(incarnation);
    }
  }
  if (session->peer != kNoPeer) drop_peer(session->peer);  // an older connection of the same client
  session->name = hello.name;
  session->host = hello.host;
  session->peer = peer;
  session->state = SessionState::connected;
  session->give_up = milliseconds_of(hello.give_up_ms);
  session->synced = false;
  session->unreceived = 0;
  if (resumed) {
    for (const auto& [seq, entry] : session->detached) {
      if (entry.journaled) tables_.delivery.tell_journaled(*session, seq);  // the last KEPT may be lost
    }
  } else {
    forget_deliveries(*session);
  }
  tables_.roster.peers().emplace(peer, Peer{session, nullptr, minor, tables_.step.now(), tables_.step.now()});

  tables_.step.send(
      peer,
      wire::Welcome{settings_.epoch, static_cast<std::uint32_t>(settings_.heartbeat_interval.count() / 1000),
                    settings_.heartbeat_liveness, resumed, session->received});
  tables_.step.log(Log::Level::info, fmt::format("client {} {} from {}", hello.name,
                                                 resumed ? "is back" : "joined", hello.host));
  if (resumed && hello.epoch == settings_.epoch) tables_.delivery.acknowledge(*session, hello.delivered);
  session->deliveries.send_again();
  tables_.delivery.mark_dirty(*session);
  tables_.fair_queue.update(*session);
  tables_.blobs.resume(session->id);
}

void Scheduler::on_client_message(Session& session, const wire::Message& message) {
  session.handshake_confirmed = true;
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (requires { this->on(session, m); }) {
          on(session, m);
        } else if constexpr (std::is_same_v<M, wire::Get> || std::is_same_v<M, wire::Data> ||
                             std::is_same_v<M, wire::Gone> || std::is_same_v<M, wire::Drop>) {
          tables_.blobs.on(session.peer, session.id, m);
        } else if constexpr (std::is_same_v<M, wire::Goodbye>) {
          drop_peer(session.peer);
          session.peer = kNoPeer;
          end_session(session, m.reason);
        } else if constexpr (!std::is_same_v<M, wire::Heartbeat>) {
          refuse(session.peer, wire::RefuseCode::not_allowed,
                 fmt::format("a client does not send this: {}", wire::describe(message)));
        }
      },
      message);
}

Session& Scheduler::add_session(const Uuid& id) {
  Session& session = tables_.roster.add_session(id);
  tables_.fair_queue.add(session);
  return session;
}

void Scheduler::on(Session& session, const wire::Define& message) {
  if (session.specs.contains(message.spec)) return;  // said again after a reconnect
  if (!are_amounts(message.content.resources)) {
    return refuse(
        session.peer, wire::RefuseCode::malformed,
        fmt::format("spec {} needs an amount of a resource that is negative or not a number", message.spec));
  }
  std::string refusal;
  if (message.content.kind == wire::TaskKind::unknown) {
    refusal = fmt::format(
        "this broker does not know this kind of task: its client speaks protocol {}.{}, the broker {}.{}; "
        "use a broker that is as new as the client",
        wire::kMajor, tables_.roster.peers().at(session.peer).minor, wire::kMajor, settings_.minor);
  }
  tables_.specs.define(session, message.spec, message.content, std::move(refusal));
}

void Scheduler::on(Session& session, const wire::Forget& forget) {
  tables_.specs.forget(session, forget.spec);
}

void Scheduler::on(Session& session, const wire::Submit& submit) {
  if (tables_.fair_queue.others_wait(session)) tables_.placer.note_competition();
  Spec* spec = nullptr;
  for (const wire::SubmitRecord& record : submit.tasks) {
    if (record.seq <= session.received) continue;  // sent again after a reconnect
    if (!within_window(session, record.payload.size() + kRecordBytes)) return;
    if (spec == nullptr || spec->number != record.spec) spec = spec_of(session, record.seq, record.spec);
    if (spec == nullptr) return;
    session.received = record.seq;
    if (spec->content.kind == wire::TaskKind::attached) {
      tables_.attachments.watch(session, record.seq, record.payload, 0);
      continue;
    }
    Task& task = lifecycle_.add(session, record.seq, *spec, record.payload);
    if (!spec->refusal.empty()) {
      lifecycle_.refuse(task, spec->refusal);
      continue;
    }
    if (tables_.eligibility.is_large(task) &&
        !tables_.adoption.window_is_open()) {  // a larger worker may be about to come back
      if (const std::string refusal = tables_.eligibility.why_too_large(task); !refusal.empty()) {
        lifecycle_.refuse(task, refusal);
        continue;
      }
    }
    lifecycle_.start_queue_timeout(task, 0);
    spec->content.detach ? detached_.journal(task) : lifecycle_.queue(task);
  }
  tables_.delivery.schedule_received(session);
}

void Scheduler::on(Session& session, const wire::Reannounce& reannounce) {
  for (const wire::ReannounceRecord& record : reannounce.tasks) {
    if (!within_window(session, record.payload.size() + kRecordBytes)) return;
    session.received = std::max(session.received, record.seq);
    if (detached_.reannounce(session, record)) continue;
    if (Task* known = find_task(session, record.seq)) {
      if (known->state == TaskState::cancelling)
        reannounce.cancelled ? lifecycle_.answer_cancelled(*known) : retries_.reopen(*known, record);
      continue;
    }
    Spec* const spec = spec_of(session, record.seq, record.spec);
    if (spec == nullptr) return;
    if (spec->content.kind == wire::TaskKind::attached) {
      tables_.attachments.watch(session, record.seq, record.payload, record.retries_used + record.crashes);
      continue;
    }
    Task& task = lifecycle_.add(session, record.seq, *spec, record.payload);
    task.retries_used = record.retries_used;
    task.crashes = record.crashes;
    if (reannounce.cancelled) {
      lifecycle_.cancel(task);
      continue;
    }
    lifecycle_.start_queue_timeout(task, record.waited_ms);
    if (spec->content.detach) {  // the broker that was promised it may not have lived to keep it
      detached_.journal(task);
      continue;
    }
    const auto claimed = tables_.adoption.take_claim(TaskId{session.id, record.seq});
    if (!claimed || !try_adopt(*claimed->worker, task, claimed->claim)) retries_.start_unclaimed(task);
  }
  tables_.delivery.schedule_received(session);
}

/// That of task `seq`, which is being announced; null: it was not defined, and the client is refused.
Spec* Scheduler::spec_of(Session& session, std::uint64_t seq, std::uint32_t number) {
  if (Spec* const spec = Specs::find(session, number)) return spec;
  refuse(session.peer, wire::RefuseCode::malformed,
         fmt::format("task {} names spec {}, which was not defined", seq, number));
  return nullptr;
}

/// False: it sends more than its window allows, and is refused.
bool Scheduler::within_window(Session& session, std::size_t bytes) {
  if (tables_.delivery.within_window(session, bytes)) return true;
  refuse(session.peer, wire::RefuseCode::not_allowed,
         "tasks came faster than RECEIVED allows: a client sends at most 4 MiB ahead");
  return false;
}

void Scheduler::on(Session& session, const wire::Synced&) {
  session.synced = true;
  tables_.adoption.reject_claims_of(session);
  ask_again(session);
}

/// For results that were refused while it was not known whether anybody waits for them.
void Scheduler::ask_again(Session& session) {
  for (const Uuid& id : session.resend) {
    if (const Worker* worker = tables_.roster.find_worker(id))
      tables_.step.send(worker->peer, wire::Resend{session.id});
  }
  session.resend.clear();
}

void Scheduler::on(Session& session, const wire::Cancel& cancelled) {
  for (const std::uint64_t seq : cancelled.seqs) {
    if (Task* task = find_task(session, seq)) {
      lifecycle_.cancel(*task);
    } else {
      detached_.cancel_watched(session, seq);
    }
  }
}

void Scheduler::on(Session& session, const wire::Fetched& fetched) {
  tables_.durable.on_fetched(session, fetched);
}

void Scheduler::on(Session& session, const wire::Ack& ack) {
  tables_.delivery.acknowledge(session, ack.delivered);
  tables_.delivery.mark_dirty(session);
}

/// A closed connection is a hint: the client has ended, or is about to come back by another one. What cannot
/// be reached may be alive, and comes back when the network does.
void Scheduler::lose_session(Session& session, const std::string& why, Loss loss) {
  const bool was_silent = session.state == SessionState::silent;
  // What it had sent before comes first when its network returns, and the end of that connection behind it.
  const Duration silence = settings_.heartbeat_interval * settings_.heartbeat_liveness;
  const bool just_heard = session.heard_again && tables_.step.now() < *session.heard_again + silence;
  session.peer = kNoPeer;
  session.state = SessionState::lost;
  if (loss == Loss::closed) {
    Time ends = tables_.step.now() + settings_.client_grace;
    // A client that hears nothing closes its connection, and hears of the network's return by its next
    // attempt to connect, while its kernel may have told us of the end before.
    if (was_silent || just_heard) ends += silence;
    session.grace_ends = was_silent ? std::min(session.grace_ends, ends) : ends;
  } else if (!was_silent) {
    session.grace_ends = tables_.step.now() + settings_.patience(session.give_up);
  }
  session.loss = why;
  tables_.step.log(
      Log::Level::warning,
      fmt::format("client {} is lost: {}; it may come back within {:.1f} s, what runs goes on until then",
                  session.name, why,
                  static_cast<double>((session.grace_ends - tables_.step.now()).count()) / 1e6));
  tables_.step.start_timer(session.grace_ends, TimerKind::client_grace, session.id);
  tables_.fair_queue.update(session);
  tables_.blobs.fall_back_from(session.id);
}

/// Its network may be down, or its process or machine stand still.
void Scheduler::fall_silent(Session& session, const std::string& why) {
  session.state = SessionState::silent;
  session.loss = why;
  session.grace_ends = tables_.step.now() + settings_.patience(session.give_up);
  tables_.step.log(
      Log::Level::warning,
      fmt::format("client {} is silent: {}; what runs goes on, nothing new starts, for {:.0f} s at most",
                  session.name, why,
                  static_cast<double>((session.grace_ends - tables_.step.now()).count()) / 1e6));
  tables_.step.start_timer(session.grace_ends, TimerKind::client_grace, session.id);
  tables_.fair_queue.update(session);
  tables_.blobs.fall_back_from(session.id);
}

void Scheduler::hear_again(Session& session) {
  session.state = SessionState::connected;
  session.heard_again = tables_.step.now();
  tables_.step.log(Log::Level::info, fmt::format("client {} is heard again", session.name));
  tables_.fair_queue.update(session);
  tables_.delivery.mark_dirty(session);
}

void Scheduler::end_session(Session& session, const std::string& why) {
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
  std::string text = fmt::format(
      "client {} has left ({}); {} open tasks are cancelled ({} with workers), {} detached ones go on",
      session.name, why.empty() ? "no reason given" : why, seqs.size(), running,
      session.tasks.size() - seqs.size());
  tables_.step.log(Log::Level::info, text);
  constexpr std::size_t kDepartedMax = 10;
  if (departed_.size() == kDepartedMax) departed_.pop_front();
  if (!seqs.empty()) departed_.emplace_back(tables_.step.now(), std::move(text));
  for (const std::uint64_t seq : seqs) lifecycle_.cancel(session.tasks.at(seq));
  tables_.delivery.acknowledge(session, session.deliveries.last());  // nobody will
  ask_again(session);  // it may never have been synced, and ends when its tasks have
  tables_.attachments.stop_watching(session);
  if (!session.detached.empty()) leave_detached(session);
  tables_.fair_queue.update(session);
  tables_.delivery.mark_dirty(session);
}

/// Its client is gone for good, and what it detached goes on.
void Scheduler::leave_detached(Session& session) {
  session.state = SessionState::detached;
  session.handshake_confirmed = false;
  session.synced = true;
  tables_.adoption.reject_claims_of(session);
  forget_deliveries(session);
  tables_.blobs.remove_holder(session.id);  // what was asked of it is asked of others
  std::vector<std::uint64_t> fetched;       // by other clients, while this one may still have wanted them
  for (const auto& [seq, entry] : session.detached) {
    if (entry.fetched) fetched.push_back(seq);
  }
  for (const std::uint64_t seq : fetched) tables_.durable.drop_when_free(session, seq);
}

/// The next client of this session knows of no delivery, and says again what it waits for.
void Scheduler::forget_deliveries(Session& session) {
  tables_.delivery.restart(session);
  tables_.attachments.stop_watching(session);
  tables_.delivery.flush_releases(session);
}

/// Those that have anything of it drop it.
void Scheduler::end_at_workers(const Uuid& session) {
  for (auto& [incarnation, worker] : tables_.roster.workers()) {
    if (!worker->sessions.erase(session)) continue;
    worker->zombies.erase_if([&](const auto& zombie) { return zombie.first.session == session; });
    worker->executions.erase_if([&](const auto& entry) { return entry.first.first.session == session; });
    tables_.placer.update(*worker);
    tables_.step.send(worker->peer, wire::EndSession{session});
  }
}

/// Nobody holds a task of it any more.
void Scheduler::finish_ending(Session& session) {
  const Uuid id = session.id;
  tables_.adoption.forget_claims_of(id);
  end_at_workers(id);
  tables_.specs.release_blobs_of(session);
  tables_.roster.remove_session(id);
  tables_.blobs.remove_holder(id);
}

}  // namespace weft::broker
