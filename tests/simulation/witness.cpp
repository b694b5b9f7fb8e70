// SPDX-License-Identifier: MIT
#include "tests/simulation/witness.hpp"

#include <fmt/format.h>

#include "common/wire/codec.hpp"
#include "tests/simulation/scenario.hpp"

namespace weft::sim {

namespace {

// Heartbeat interval x liveness, as measured by clocks that run at other rates.
constexpr Duration kSilenceMin = std::chrono::milliseconds(3000 - 60);
// A heartbeat interval: a peer that is one heartbeat late is not yet dropped.
constexpr Duration kShortFreeze = std::chrono::milliseconds(1000 + 20);

}  // namespace

void Witness::broker_started(std::uint64_t epoch, std::uint8_t minor) {
  epoch_ = epoch;
  minor_ = minor;
  awake_since_ = world_.now();
  peers_.clear();
  sessions_.clear();
  outboxes_.clear();
  rows_.clear();
}

void Witness::broker_woke(Time since) {
  if (world_.now() - since > kShortFreeze) awake_since_ = world_.now();
}

void Witness::heard(const broker::Event& event) {
  event_ = &event;
  if (const auto* received = std::get_if<broker::Received>(&event))
    hear(received->peer, received->message, received->minor);
  if (const auto* recovered = std::get_if<broker::Recovered>(&event)) read(recovered->records);
  if (const auto* persisted = std::get_if<broker::Persisted>(&event)) {
    const auto row = rows_.extract(persisted->number);
    if (!row.empty() && persisted->fault.empty()) read(*broker::decode_row(row.mapped()));
  }
}

void Witness::did(const broker::Action& action) {
  if (const auto* send = std::get_if<broker::Send>(&action)) say(send->peer, send->message);
  if (const auto* persist = std::get_if<broker::Persist>(&action)) rows_[persist->number] = persist->row;
  if (const auto* forget = std::get_if<broker::ForgetPeer>(&action)) {
    check_drop(forget->peer);
    const Uuid session = peers_[forget->peer].session;
    if (const auto found = sessions_.find(session); found != sessions_.end()) {
      if (found->second.peer == forget->peer) found->second.peer = broker::kNoPeer;
    }
    peers_.erase(forget->peer);
  }
}

// ---- events ----

void Witness::hear(broker::PeerId from, const wire::Message& message, std::uint8_t minor) {
  Peer& peer = peers_[from];
  peer.heard = world_.now();
  if (everybody_left_ &&
      (std::holds_alternative<wire::Claims>(message) || std::holds_alternative<wire::Results>(message))) {
    fail("though every client has left, a worker says: " + wire::describe(message));
  }
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    const bool holds = !beat->hold.empty();
    if (holds && !peer.holds) world_.coverage().count("memory: worker holds");
    if (beat->hold_slots > peer.hold_slots)
      world_.coverage().count("memory: worker takes one task at a time");
    if (peer.holds && !holds) world_.coverage().count("memory: worker takes tasks again");
    peer.holds = holds;
    peer.hold_slots = beat->hold_slots;
  }
  if (const auto* worker = std::get_if<wire::HelloWorker>(&message)) peer.worker = worker->incarnation;
  if (const auto* client = std::get_if<wire::HelloClient>(&message)) {
    peer.session = client->session;
    sessions_[client->session].delivered = client->epoch == epoch_ ? client->delivered : 0;
    sessions_[client->session].synced = false;
  }
  if (const auto found = sessions_.find(peer.session); found != sessions_.end()) {
    hear_client(found->second, message, minor);
  }
  if (const auto* results = std::get_if<wire::Results>(&message)) {
    Outbox& outbox = outboxes_[{peer.worker, results->session}];
    std::uint64_t number = results->first;
    if (results->fresh) outbox.erase(outbox.begin(), outbox.lower_bound(number));  // earlier session
    for (const wire::ResultRecord& record : results->records) {
      // A blob result of a detached task that did not reach the journal is lost: the task is executed again.
      const bool fetched = record.payload.is_blob() && is_detached({results->session, record.seq});
      if (record.outcome == wire::Outcome::ok && !fetched) outbox[number] = record.seq;
      ++number;
    }
  }
}

void Witness::hear_client(Session& session, const wire::Message& message, std::uint8_t minor) {
  if (const auto* define = std::get_if<wire::Define>(&message)) {
    session.detaches[define->spec] = define->content.detach;
  } else if (const auto* submit = std::get_if<wire::Submit>(&message)) {
    for (const wire::SubmitRecord& record : submit->tasks) add(session, record.seq, record.spec);
  } else if (const auto* reannounce = std::get_if<wire::Reannounce>(&message)) {
    for (const wire::ReannounceRecord& record : reannounce->tasks) {
      add(session, record.seq, record.spec);
      Task& task = session.tasks[record.seq];
      // An older client or broker does not know the `cancelled` field: a CANCEL follows.
      if (std::min(minor, minor_) < kCancelledMinor) task.cancelled = false;
      // This broker may never have had the answer whose blob the client was still fetching when it sent
      // SYNCED.
      if (std::exchange(task.final, 0) != 0 || session.synced) task.again = true;
    }
  } else if (std::holds_alternative<wire::Synced>(message)) {
    session.synced = true;
  } else if (const auto* cancel = std::get_if<wire::Cancel>(&message)) {
    for (const std::uint64_t seq : cancel->seqs) {
      if (const auto task = session.tasks.find(seq); task != session.tasks.end())
        task->second.cancelled = true;
    }
  } else if (const auto* ack = std::get_if<wire::Ack>(&message)) {
    session.acked = std::max(session.acked, ack->delivered);
  }
}

bool Witness::is_detached(const TaskId& id) const {
  const auto session = sessions_.find(id.session);
  if (session == sessions_.end()) return false;
  const auto task = session->second.tasks.find(id.seq);
  return task != session->second.tasks.end() && task->second.detach;
}

void Witness::add(Session& session, std::uint64_t seq, std::uint32_t spec) {
  session.tasks[seq].detach = session.detaches[spec];
}

/// A new session, for a client that the broker no longer knows; the journal still has the client's durable
/// tasks.
void Witness::begin_anew(Session& session) {
  std::erase_if(session.tasks, [](const auto& entry) { return !entry.second.durable; });
  for (auto& [seq, task] : session.tasks) task.final = 0;
  session = Session{.tasks = std::move(session.tasks)};
}

/// `records` are durable from now on.
void Witness::read(const std::vector<broker::JournalRecord>& records) {
  for (const broker::JournalRecord& record : records) {
    if (const auto* task = std::get_if<broker::TaskRecord>(&record)) {
      Task& known = sessions_[task->session].tasks[task->seq];
      known.detach = known.durable = true;
    } else if (const auto* answer = std::get_if<broker::FinalRecord>(&record)) {
      sessions_[answer->session].tasks[answer->answer.seq].saved = true;
    } else if (const auto* gone = std::get_if<broker::GoneRecord>(&record)) {
      sessions_[gone->session].tasks[gone->seq].saved = true;
    }
  }
}

// ---- actions ----

void Witness::say(broker::PeerId to, const wire::Message& message) {
  const Peer& peer = peers_[to];
  const auto session = sessions_.find(peer.session);
  if (const auto* welcome = std::get_if<wire::Welcome>(&message); welcome && session != sessions_.end()) {
    if (!welcome->resumed) begin_anew(session->second);
    session->second.peer = to;
    session->second.acked = std::max(session->second.acked, session->second.delivered);
  } else if (const auto* assign = std::get_if<wire::Assign>(&message)) {
    check_assign(*assign);
    if (peer.holds && assign->tasks.size() > peer.hold_slots)
      fail(fmt::format("a worker is assigned {} tasks while it holds", assign->tasks.size()));
  } else if (const auto* deliver = std::get_if<wire::Deliver>(&message);
             deliver && session != sessions_.end()) {
    check_deliver(session->second, *deliver);
  } else if (const auto* kept = std::get_if<wire::Journaled>(&message); kept && session != sessions_.end()) {
    check_kept(session->second, *kept);
  } else if (const auto* release = std::get_if<wire::Release>(&message)) {
    check_release(peer.worker, *release);
  } else if (const auto* end = std::get_if<wire::EndSession>(&message)) {
    outboxes_.erase({peer.worker, end->session});
  }
}

void Witness::check_assign(const wire::Assign& assign) {
  Session& session = sessions_[assign.session];
  for (const wire::AssignRecord& record : assign.tasks) {
    if (!attempts_.emplace(epoch_, record.number).second) {
      fail(fmt::format("attempt {} of epoch {:x} is given out twice", record.number, epoch_));
    }
    const auto task = session.tasks.find(record.seq);
    const std::string name = TaskId{assign.session, record.seq}.text();
    if (task == session.tasks.end()) fail(fmt::format("task {} is assigned, and nobody submitted it", name));
    if (task->second.cancelled) fail(fmt::format("task {} is assigned, though it was cancelled", name));
    if (task->second.final != 0) fail(fmt::format("task {} is assigned, though it was answered", name));
    if (task->second.detach && !task->second.durable)
      fail(fmt::format("task {} is detached, and assigned before the journal has it", name));
  }
}

void Witness::check_kept(const Session& session, const wire::Journaled& kept) {
  for (const std::uint64_t seq : kept.seqs) {
    const auto task = session.tasks.find(seq);
    if (task == session.tasks.end() || !(task->second.durable || task->second.cancelled))
      fail(fmt::format("task {} is promised to be kept before the journal has it", seq));
  }
}

void Witness::check_deliver(Session& session, const wire::Deliver& deliver) {
  std::uint64_t number = deliver.first;
  if (number <= session.acked) fail(fmt::format("delivery {} is sent again after its ACK", number));
  for (const wire::DeliveryRecord& record : deliver.records) {
    if (record.kind == wire::DeliveryKind::final) {
      Task& task = session.tasks[record.seq];
      if (task.final != 0 && task.final != number) {
        fail(fmt::format("task {} is answered by delivery {} and again by delivery {}", record.seq,
                         task.final, number));
      }
      task.final = number;
    }
    ++number;
  }
}

/// A worker may drop a success only after the client has it, if the session lasts; that of a detached task
/// only after the journal has it.
void Witness::check_release(const Uuid& worker, const wire::Release& release) {
  Outbox& outbox = outboxes_[{worker, release.session}];
  const auto session = sessions_.find(release.session);
  while (!outbox.empty() && outbox.begin()->first <= release.outbox) {
    const std::uint64_t seq = outbox.begin()->second;
    outbox.erase(outbox.begin());
    if (session == sessions_.end()) continue;
    const auto task = session->second.tasks.find(seq);
    if (task == session->second.tasks.end()) continue;  // no client waits for this task
    if (task->second.durable) {
      if (task->second.saved) continue;
      fail(fmt::format("the result of task {} is released, and the journal does not have it",
                       TaskId{release.session, seq}.text()));
    }
    if (session->second.peer == broker::kNoPeer || task->second.again) continue;
    if (task->second.final == 0 || task->second.final > session->second.acked) {
      fail(fmt::format("the result of task {} is released, and its client may not have it",
                       TaskId{release.session, seq}.text()));
    }
  }
}

/// A peer may be dropped for a message, for the end of its connection, for a newer connection or for its
/// silence.
void Witness::check_drop(broker::PeerId peer) const {
  const auto of_peer = [&](const auto& event) {
    if constexpr (requires { event.peer; }) return event.peer == peer;
    return false;
  };
  if (std::visit(of_peer, *event_)) return;
  if (const auto* received = std::get_if<broker::Received>(event_)) {
    if (std::holds_alternative<wire::HelloClient>(received->message) ||
        std::holds_alternative<wire::HelloWorker>(received->message)) {
      return;
    }
  }
  if (std::holds_alternative<broker::ProcessGone>(*event_)) return;
  const Duration silence = world_.now() - std::max(peers_.at(peer).heard, awake_since_);
  if (silence >= kSilenceMin) return;
  fail(fmt::format("the broker drops peer {} though it has listened for {:.3f} s only", peer,
                   static_cast<double>(silence.count()) / 1e6));
}

}  // namespace weft::sim
