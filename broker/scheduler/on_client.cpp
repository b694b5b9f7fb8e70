// SPDX-License-Identifier: MIT
// Messages of clients: one function for each. PROTOCOL.md sections 4 and 5.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/scheduler/scheduler.hpp"
#include "broker/scheduler/senders.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

namespace {
constexpr std::size_t kRecordBytes = 16;  // about what a task costs on the wire beside its payload
}  // namespace

void Scheduler::on_hello(const Received& event, const wire::HelloClient& hello) {
  const PeerId peer = event.peer;
  const Identity& identity = identity_of(event.identity);
  if (Session* const session = tables_.roster.find_session(hello.session)) {
    if (!identity.may_use(session->owner)) {
      return refuse(peer, wire::RefuseCode::not_allowed,
                    fmt::format("this session belongs to '{}', not to '{}'", session->owner, identity.name));
    }
    if (SessionPresence::is_stopping(*session))
      return refuse(peer, wire::RefuseCode::unknown_peer, "this session is just being ended: try again");
    if (sessions_.is_stale(*session, hello)) {
      return refuse(peer, wire::RefuseCode::unknown_peer,
                    "this HELLO is older than the session: say it again");
    }
    drop_peer(session->peer);  // an older connection of the same client
  }
  sessions_.join(event, hello);
}

void Scheduler::on_client_message(Session& session, const wire::Message& message) {
  session.handshake_confirmed = true;
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (!ClientMessages::has<M>) {
          refuse(session.peer, wire::RefuseCode::not_allowed,
                 fmt::format("a client does not send this: {}", wire::describe(message)));
        } else if constexpr (requires { tables_.blobs.on(session.peer, session.id, m); }) {
          tables_.blobs.on(session.peer, session.id, m);
        } else {
          on(session, m);
        }
      },
      message);
}

void Scheduler::on(Session& session, const wire::Define& message) {
  if (session.specs.contains(message.spec)) return;  // sent again after a reconnect
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

/// Whether the task was answered while the client was away: the delivery is sent again.
bool Scheduler::is_answered_already(const Session& session, std::uint64_t seq) {
  const auto unseen = session.unseen_answers.find(seq);
  return unseen != session.unseen_answers.end() && unseen->second > session.deliveries.acknowledged();
}

void Scheduler::on(Session& session, const wire::Reannounce& reannounce) {
  for (const wire::ReannounceRecord& record : reannounce.tasks) {
    if (!within_window(session, record.payload.size() + kRecordBytes)) return;
    session.received = std::max(session.received, record.seq);
    if (detached_.reannounce(session, record)) continue;
    if (is_answered_already(session, record.seq)) continue;
    if (Task* known = session.tasks.find(record.seq)) {
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
    if (spec->content.detach) {  // the earlier broker may have died before it journaled the task
      detached_.journal(task);
      continue;
    }
    const auto claimed = tables_.adoption.take_claim(TaskId{session.id, record.seq});
    if (!claimed || !claim_matcher_.try_adopt(*claimed->worker, task, claimed->claim))
      retries_.start_unclaimed(task);
  }
  tables_.delivery.schedule_received(session);
}

/// The spec `number` of task `seq`, which is being announced; nullptr: not defined, and the client is
/// refused.
Spec* Scheduler::spec_of(Session& session, std::uint64_t seq, std::uint32_t number) {
  if (Spec* const spec = Specs::find(session, number)) return spec;
  refuse(session.peer, wire::RefuseCode::malformed,
         fmt::format("task {} names spec {}, which was not defined", seq, number));
  return nullptr;
}

/// Flow control. False: the client has sent more than its window allows, and is refused.
bool Scheduler::within_window(Session& session, std::size_t bytes) {
  if (tables_.delivery.within_window(session, bytes)) return true;
  refuse(session.peer, wire::RefuseCode::not_allowed,
         "tasks came faster than RECEIVED allows: a client sends at most 4 MiB ahead");
  return false;
}

void Scheduler::on(Session& session, const wire::Synced&) {
  session.synced = true;
  session.unseen_answers.clear();
  tables_.adoption.reject_claims_of(session);
  sessions_.ask_again(session);
}

void Scheduler::on(Session& session, const wire::Cancel& cancelled) {
  for (const std::uint64_t seq : cancelled.seqs) {
    if (Task* task = session.tasks.find(seq)) {
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

void Scheduler::on(Session& session, const wire::Goodbye& goodbye) {
  drop_peer(std::exchange(session.peer, kNoPeer));
  sessions_.end(session, goodbye.reason);
}

}  // namespace weft::broker
