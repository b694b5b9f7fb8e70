// SPDX-License-Identifier: MIT
// Dispatch, presence and timers. The messages are handled in on_client.cpp and on_worker.cpp.
#include "broker/scheduler/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler/replay.hpp"
#include "broker/scheduler/senders.hpp"

namespace weft::broker {

Scheduler::Scheduler(Settings settings, Time now) : settings_(std::move(settings)), tables_(settings_, now) {
  tables_.adoption.open_window();
}

void Scheduler::step(Time now, const Event& event, Actions& actions) {
  tables_.step.begin(now, actions);
  // This process was stalled: peers that seem silent may have messages waiting in its socket.
  if (tables_.step.now() - tables_.step.previous() > settings_.heartbeat_interval) on_clock_jump();
  tables_.fair_queue.update_backlog_max();

  std::visit([this](const auto& e) { on(e); }, event);
  while (const auto timer = tables_.step.take_due_timer()) on_timer(*timer);
  if (heartbeats_.is_due()) scan_peers();
  if (explainer_.is_due()) explainer_.log_waiting();
  if (settings_.journal) detached_.fetch_blobs();
  assigner_.run_pass();
  finish_dirty();
  if (settings_.journal) detached_.write_journal();
  tables_.step.end();
}

Time Scheduler::deadline() const {
  Time at = std::min(heartbeats_.deadline(), explainer_.deadline());
  if (const auto due = tables_.step.next_timer()) at = std::min(at, *due);
  if (const auto due = earlier(tables_.journal_queue.deadline(), tables_.blob_vault.deadline()))
    at = std::min(at, *due);
  return at;
}

// ---- events ----

void Scheduler::on(const Received& event) {
  if (event.identity != nullptr && !may_send(event.identity->roles, event.message)) {
    return refuse(event.peer, wire::RefuseCode::not_allowed, why_not(*event.identity, event.message));
  }
  if (is_in<QuestionMessages>(event.message)) {
    questions_.answer(event);
    if (Peer* known = tables_.roster.peers().find(event.peer)) {
      known->heard = tables_.step.now();
    } else {
      tables_.step.actions().push_back(ForgetPeer{event.peer});
    }
    return;
  }
  Peer* const peer = tables_.roster.peers().find(event.peer);
  if (peer == nullptr) {
    if (const auto* client = std::get_if<wire::HelloClient>(&event.message)) return on_hello(event, *client);
    if (const auto* worker = std::get_if<wire::HelloWorker>(&event.message)) return on_hello(event, *worker);
    if (std::holds_alternative<wire::Goodbye>(event.message)) {
      tables_.step.actions().push_back(ForgetPeer{event.peer});
      return;
    }
    return refuse(event.peer, wire::RefuseCode::unknown_peer,
                  "say HELLO first: this broker does not know you");
  }
  peer->heard = tables_.step.now();
  if (peer->session != nullptr) {
    if (peer->session->state == SessionState::silent) sessions_.hear_again(*peer->session);
    on_client_message(*peer->session, event.message);
  } else {
    on_worker_message(*peer->worker, event.message);
  }
}

void Scheduler::on(const ReceivedGarbage& event) {
  if (!knows(event.peer) && !event.version) {
    tables_.step.actions().push_back(ForgetPeer{event.peer});  // not a peer of Weft: no answer
    return;
  }
  tables_.step.notify({.kind = NoticeKind::message_refused, .detail = event.reason});
  refuse(event.peer, event.version ? wire::RefuseCode::version : wire::RefuseCode::malformed, event.reason);
}

void Scheduler::on(const PeerGone& event) {
  if (!knows(event.peer)) return;  // the peer has a newer connection
  event.by_peer ? lose_peer(event.peer, "its connection broke", SessionPresence::Loss::closed)
                : lose_peer(event.peer, "it cannot be reached", SessionPresence::Loss::unreachable);
}

void Scheduler::on(const ProcessGone& event) {
  Session* session = tables_.roster.find_session(event.session);
  if (session == nullptr || session->state == SessionState::ending ||
      session->state == SessionState::detached) {
    return;
  }
  drop_peer(std::exchange(session->peer, kNoPeer));
  sessions_.end(*session, "its process has ended");
}

void Scheduler::on(const Tick&) {}

void Scheduler::on(const Recovered& event) { Replay(settings_, tables_, lifecycle_, sessions_).run(event); }

void Scheduler::on(const Persisted& event) { detached_.on(event); }

void Scheduler::on(const BlobReady& event) { detached_.on(event); }
void Scheduler::on(const BlobBad& event) { detached_.on(event); }

void Scheduler::on(const Shutdown& event) {
  tables_.roster.peers().for_each([&](PeerId id, const Peer&) {
    tables_.step.actions().push_back(Send{id, wire::Goodbye{event.reason}});
  });
}

void Scheduler::on_timer(const Timer& timer) {
  switch (timer.kind) {
    case TimerKind::worker_gone:
      return workers_.on_gone_timer(timer.who);
    case TimerKind::client_grace: {
      Session* session = tables_.roster.find_session(timer.who);
      if (session == nullptr || !sessions_.is_overdue(*session)) return;
      drop_peer(std::exchange(session->peer, kNoPeer));
      sessions_.end(*session, session->loss + ", and it did not come back");
      return;
    }
    case TimerKind::task_due:
    case TimerKind::queue_timeout: {
      Session* session = tables_.roster.find_session(timer.who);
      Task* task = session != nullptr ? session->tasks.find(timer.seq) : nullptr;
      if (task == nullptr || task->due != timer.at) return;
      if (timer.kind == TimerKind::task_due && task->state == TaskState::delayed) lifecycle_.queue(*task);
      if (timer.kind == TimerKind::queue_timeout && task->state == TaskState::queued)
        lifecycle_.fail_unschedulable(*task);
      return;
    }
    case TimerKind::adoption:
      if (tables_.adoption.window_is_open()) return;
      for (auto& [id, session] : tables_.roster.sessions()) {
        while (Task* task = session->awaiting.front()) retries_.start_again(*task);
      }
      return;
    case TimerKind::awaited_session:
      if (tables_.adoption.give_up(timer.who)) sessions_.give_up(timer.who);
      return;
    case TimerKind::result_expiry: {
      Session* session = tables_.roster.find_session(timer.who);
      if (session == nullptr || !session->detached.contains(timer.seq)) return;
      tables_.step.notify({.kind = NoticeKind::answer_expired, .task = {timer.who, timer.seq}});
      return tables_.durable.expire(TaskId{timer.who, timer.seq});
    }
    case TimerKind::found:
      if (Session* session = tables_.roster.find_session(timer.who))
        tables_.durable.drop_when_free(*session, timer.seq);
      return;
    case TimerKind::rebalance:
      tables_.placer.on_rebalance_timer();
      return;
    case TimerKind::avoided: {
      Worker* worker = tables_.roster.find_worker(timer.who);
      if (worker != nullptr && tables_.health.end_avoidance(*worker)) tables_.placer.update(*worker);
      return;
    }
  }
}

// ---- presence ----

/// This process was stalled: all grace periods and silences start again, and so does the adoption window if
/// it was open before.
void Scheduler::on_clock_jump() {
  const Time previous = tables_.step.previous();
  if (previous < tables_.adoption.window_ends()) tables_.adoption.open_window();
  tables_.adoption.renew_awaited();
  tables_.roster.peers().for_each([&](PeerId, Peer& peer) { peer.heard = tables_.step.now(); });
  workers_.renew_grace();
  tables_.attachments.renew_found_grace(previous);
  sessions_.renew_grace();
}

void Scheduler::scan_peers() {
  const std::string why = fmt::format("nothing was heard of it for {:.1f} s",
                                      static_cast<double>(heartbeats_.silence_max().count()) / 1e6);
  for (const PeerId id : heartbeats_.scan()) {
    const Peer peer = tables_.roster.peers().at(id);
    if (peer.session != nullptr) {
      sessions_.fall_silent(*peer.session, why);
      continue;
    }
    lose_peer(id, why, SessionPresence::Loss::unreachable);
    workers_.lose(*peer.worker, "no heartbeat");
  }
  for (auto& [id, session] : tables_.roster.sessions()) tables_.delivery.send_received(*session);
  assigner_.avoid_bad_workers();
}

void Scheduler::refuse(PeerId peer, wire::RefuseCode code, std::string text) {
  tables_.step.send(peer, wire::Refuse{code, text});
  if (knows(peer)) {
    lose_peer(peer, text, SessionPresence::Loss::unreachable);
  } else {
    tables_.step.actions().push_back(ForgetPeer{peer});
  }
}

void Scheduler::lose_peer(PeerId id, const std::string& why, SessionPresence::Loss loss) {
  const Peer peer = tables_.roster.peers().at(id);
  drop_peer(id);
  if (peer.session != nullptr) {
    sessions_.lose(*peer.session, why, loss);
  } else {
    workers_.lose_connection(*peer.worker, why);
  }
}

void Scheduler::drop_peer(PeerId peer) {
  if (peer == kNoPeer) return;
  tables_.roster.peers().erase(peer);
  tables_.blobs.remove_peer(peer);
  tables_.step.actions().push_back(ForgetPeer{peer});
}

void Scheduler::finish_dirty() {
  for (Session* session : tables_.delivery.take_dirty())
    sessions_.is_over(*session) ? sessions_.remove(*session) : tables_.delivery.pump(*session);
}

void Scheduler::check_invariants() const {
  tables_.check_invariants();
  lifecycle_.check_invariants();
  assigner_.check_invariants();
}

}  // namespace weft::broker
