// SPDX-License-Identifier: MIT
// Dispatch, presence and timers. The messages are handled in on_client.cpp and on_worker.cpp.
#include "broker/scheduler/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::broker {

Scheduler::Scheduler(Settings settings, Time now)
    : settings_(std::move(settings)),
      step_(roster_, now, settings_.unix_us_at_zero),
      stepped_(now),
      next_scan_(now + settings_.heartbeat_interval / 2),
      next_explain_(now + settings_.explain_after) {
  adoption_.open_window();
}

Scheduler::~Scheduler() {
  // Tasks leave their lists before either goes.
  for (auto& [id, session] : roster_.sessions()) {
    session->tasks.for_each([](std::uint64_t, Task& task) { TaskList::remove(task); });
  }
}

void Scheduler::step(Time now, const Event& event, Actions& actions) {
  step_.begin(now, actions);
  // A long silence of our own: whoever seems late may have a message waiting in our socket.
  if (step_.now() - stepped_ > settings_.heartbeat_interval) on_clock_jump();
  stepped_ = step_.now();
  fair_queue_.update_backlog_max();

  std::visit([this](const auto& e) { on(e); }, event);
  while (const auto timer = step_.take_due_timer()) on_timer(*timer);
  if (step_.now() >= next_scan_) scan_peers();
  if (step_.now() >= next_explain_) {
    next_explain_ = step_.now() + settings_.explain_after;
    explainer_.log_waiting();
  }
  if (settings_.journal) poll_journal();
  assigner_.run_pass();
  finish_dirty();
  if (settings_.journal) write_journal();
  step_.end();
}

Time Scheduler::deadline() const {
  Time at = std::min(next_scan_, next_explain_);
  if (const auto due = step_.next_timer()) at = std::min(at, *due);
  if (const auto due = earlier(journal_queue_.deadline(), blob_vault_.deadline())) at = std::min(at, *due);
  return at;
}

// ---- events ----

void Scheduler::on(const Received& event) {
  if (answer_question(event.peer, event.message, event.minor)) {
    if (Peer* known = roster_.peers().find(event.peer)) {
      known->heard = step_.now();
    } else {
      step_.actions().push_back(ForgetPeer{event.peer});
    }
    return;
  }
  Peer* const peer = roster_.peers().find(event.peer);
  if (peer == nullptr) {
    if (const auto* client = std::get_if<wire::HelloClient>(&event.message))
      return on_hello(event.peer, *client, event.minor);
    if (const auto* worker = std::get_if<wire::HelloWorker>(&event.message))
      return on_hello(event.peer, *worker, event.minor);
    if (std::holds_alternative<wire::Goodbye>(event.message)) {
      step_.actions().push_back(ForgetPeer{event.peer});
      return;
    }
    return refuse(event.peer, wire::RefuseCode::unknown_peer,
                  "say HELLO first: this broker does not know you");
  }
  peer->heard = step_.now();
  if (peer->session != nullptr) {
    if (peer->session->state == SessionState::silent) hear_again(*peer->session);
    on_client_message(*peer->session, event.message);
  } else {
    on_worker_message(*peer->worker, event.message);
  }
}

void Scheduler::on(const ReceivedGarbage& event) {
  if (!knows(event.peer) && !event.version) {
    step_.actions().push_back(ForgetPeer{event.peer});  // not one of us: no answer
    return;
  }
  step_.log(Log::Level::warning, fmt::format("a message was refused: {}", event.reason));
  refuse(event.peer, event.version ? wire::RefuseCode::version : wire::RefuseCode::malformed, event.reason);
}

void Scheduler::on(const PeerGone& event) {
  if (!knows(event.peer)) return;  // or not any more: it has a newer connection
  event.by_peer ? lose_peer(event.peer, "its connection broke", Loss::closed)
                : lose_peer(event.peer, "it cannot be reached", Loss::unreachable);
}

void Scheduler::on(const ProcessGone& event) {
  Session* session = roster_.find_session(event.session);
  if (session == nullptr || session->state == SessionState::ending ||
      session->state == SessionState::detached) {
    return;
  }
  drop_peer(std::exchange(session->peer, kNoPeer));
  end_session(*session, "its process has ended");
}

void Scheduler::on(const Tick&) {}

void Scheduler::on(const Shutdown& event) {
  roster_.peers().for_each([&](PeerId id, const Peer&) {
    step_.actions().push_back(Send{id, wire::Goodbye{event.reason}});
  });
}

void Scheduler::on_timer(const Timer& timer) {
  switch (timer.kind) {
    case TimerKind::worker_gone: {
      Worker* worker = roster_.find_worker(timer.who);
      if (worker != nullptr && worker->state == WorkerState::lost && worker->gone_ends <= step_.now()) {
        lose_worker(*worker, "its connection broke");
      }
      return;
    }
    case TimerKind::client_grace: {
      Session* session = roster_.find_session(timer.who);
      if (session == nullptr || !session->away() || session->grace_ends > step_.now()) return;
      drop_peer(std::exchange(session->peer, kNoPeer));
      end_session(*session, session->loss + ", and it did not come back");
      return;
    }
    case TimerKind::task_due:
    case TimerKind::queue_timeout: {
      Session* session = roster_.find_session(timer.who);
      Task* task = session != nullptr ? find_task(*session, timer.seq) : nullptr;
      if (task == nullptr || task->due != timer.at) return;
      if (timer.kind == TimerKind::task_due && task->state == TaskState::delayed) lifecycle_.queue(*task);
      if (timer.kind == TimerKind::queue_timeout && task->state == TaskState::queued)
        lifecycle_.fail_unschedulable(*task);
      return;
    }
    case TimerKind::adoption:
      if (adoption_.window_is_open()) return;
      for (auto& [id, session] : roster_.sessions()) {
        while (Task* task = session->awaiting.front()) lifecycle_.start_again(*task);
      }
      return;
    case TimerKind::awaited_session:
      if (!adoption_.give_up(timer.who)) return;
      adoption_.forget_claims_of(timer.who);
      end_at_workers(timer.who);
      remove_holder(timer.who);
      return;
    case TimerKind::keep: {
      Session* session = roster_.find_session(timer.who);
      if (session == nullptr || !session->detached.contains(timer.seq)) return;
      step_.log(Log::Level::info,
                fmt::format("the answer of detached task {} was not fetched in time: it is dropped",
                            TaskId{timer.who, timer.seq}.text()));
      return durable_.expire(TaskId{timer.who, timer.seq});
    }
    case TimerKind::found:
      if (Session* session = roster_.find_session(timer.who)) durable_.drop_when_free(*session, timer.seq);
      return;
    case TimerKind::rebalance:
      placer_.on_rebalance_timer();
      return;
    case TimerKind::avoided: {
      Worker* worker = roster_.find_worker(timer.who);
      if (worker != nullptr && health_.end_avoidance(*worker)) placer_.update(*worker);
      return;
    }
  }
}

// ---- presence ----

/// We were frozen: everybody gets a fresh window, also those who wanted to come back after our start.
void Scheduler::on_clock_jump() {
  if (stepped_ < adoption_.window_ends()) adoption_.open_window();
  adoption_.renew_awaited();
  roster_.peers().for_each([&](PeerId, Peer& peer) { peer.heard = step_.now(); });
  for (auto& [id, worker] : roster_.workers()) {
    if (worker->state != WorkerState::lost) continue;
    worker->gone_ends = step_.now() + settings_.gone_grace;
    step_.start_timer(worker->gone_ends, TimerKind::worker_gone, id);
  }
  durable_.renew_found_grace(stepped_);
  for (auto& [id, session] : roster_.sessions()) {
    if (!session->away()) continue;
    session->grace_ends = std::max(session->grace_ends,
                                   std::max(step_.now(), adoption_.window_ends()) + settings_.client_grace);
    step_.start_timer(session->grace_ends, TimerKind::client_grace, id);
  }
}

void Scheduler::scan_peers() {
  next_scan_ = step_.now() + settings_.heartbeat_interval / 2;
  const Duration silence_max = settings_.heartbeat_interval * settings_.heartbeat_liveness;
  std::vector<PeerId> silent;
  roster_.peers().for_each([&](PeerId id, const Peer& peer) {
    if (step_.now() - peer.heard >= silence_max) {
      if (peer.session == nullptr || peer.session->state == SessionState::connected) silent.push_back(id);
    } else if (step_.now() - peer.sent >= settings_.heartbeat_interval) {
      step_.send(id, wire::Heartbeat{});
    }
  });
  const std::string why =
      fmt::format("nothing was heard of it for {:.1f} s", static_cast<double>(silence_max.count()) / 1e6);
  for (const PeerId id : silent) {
    const Peer peer = roster_.peers().at(id);
    if (peer.session != nullptr) {
      fall_silent(*peer.session, why);
      continue;
    }
    lose_peer(id, why, Loss::unreachable);
    lose_worker(*peer.worker, "no heartbeat");
  }
  for (auto& [id, session] : roster_.sessions()) delivery_.send_received(*session);
  assigner_.avoid_bad_workers();
}

void Scheduler::refuse(PeerId peer, wire::RefuseCode code, std::string text) {
  step_.send(peer, wire::Refuse{code, text});
  if (knows(peer)) {
    lose_peer(peer, text, Loss::unreachable);
  } else {
    step_.actions().push_back(ForgetPeer{peer});
  }
}

void Scheduler::lose_peer(PeerId id, const std::string& why, Loss loss) {
  const Peer peer = roster_.peers().at(id);
  drop_peer(id);
  if (peer.session != nullptr) {
    lose_session(*peer.session, why, loss);
  } else {
    step_.log(Log::Level::warning, fmt::format("worker {} is lost: {}", peer.worker->hello.name, why));
    lose_connection(*peer.worker);
  }
}

void Scheduler::drop_peer(PeerId peer) {
  if (peer == kNoPeer) return;
  roster_.peers().erase(peer);
  blobs_.remove_peer(peer);
  step_.actions().push_back(ForgetPeer{peer});
}

// ---- blobs ----

BlobRelay::Reachable Scheduler::reachable() const {
  return [this](const Uuid& holder) {
    using Reach = BlobRelay::Reach;
    if (const auto session = roster_.sessions().find(holder); session != roster_.sessions().end()) {
      if (session->second->away()) return Reach::later;
      return session->second->state == SessionState::connected ? Reach::now : Reach::never;
    }
    if (const auto worker = roster_.workers().find(holder); worker != roster_.workers().end())
      return worker->second->state == WorkerState::lost ? Reach::later : Reach::now;
    // A session that a worker claims: who waits for a blob of it waits until it is here or given up.
    return adoption_.is_awaited(holder) ? Reach::later : Reach::never;
  };
}

void Scheduler::remove_holder(const Uuid& holder) {
  BlobRelay::Outbox outbox;
  blobs_.remove_holder(holder, reachable(), outbox);
  pass_on(outbox);
}

/// It is silent, or not connected for now.
void Scheduler::fall_back_from(const Uuid& holder) {
  BlobRelay::Outbox outbox;
  blobs_.fall_back(holder, reachable(), outbox);
  pass_on(outbox);
}

void Scheduler::pass_on(BlobRelay::Outbox& outbox) {
  for (auto& [peer, holder, message] : outbox) {
    PeerId to = peer;
    if (to == BlobRelay::kOwnPeer) {
      if (const auto* data = std::get_if<wire::Data>(&message))
        blob_vault_.on_data(step_.now(), *data, step_.actions());
      if (const auto* gone = std::get_if<wire::Gone>(&message))
        blob_vault_.on_gone(step_.now(), *gone, step_.actions());
      continue;
    }
    if (to == kNoPeer) {
      if (const Session* session = roster_.find_session(holder)) to = session->peer;
      if (const Worker* worker = roster_.find_worker(holder)) to = worker->peer;
    }
    step_.send(to, std::move(message));  // a holder without a connection is asked again when it resumes
  }
}

void Scheduler::on_blob_message(PeerId peer, const Uuid& holder, const wire::Message& message) {
  BlobRelay::Outbox outbox;
  if (const auto* get = std::get_if<wire::Get>(&message)) {
    if (blob_vault_.has(get->id)) {
      step_.actions().push_back(ReadBlob{peer, *get});
    } else {
      blobs_.get(peer, *get, reachable(), outbox);
    }
  }
  if (const auto* data = std::get_if<wire::Data>(&message)) blobs_.data(*data, outbox);
  if (const auto* gone = std::get_if<wire::Gone>(&message)) blobs_.gone(holder, *gone, reachable(), outbox);
  if (const auto* drop = std::get_if<wire::Drop>(&message)) outbox.push_back({kNoPeer, drop->holder, *drop});
  pass_on(outbox);
}

Task* Scheduler::find_task(Session& session, std::uint64_t seq) { return session.tasks.find(seq); }

void Scheduler::finish_dirty() {
  for (Session* session : delivery_.take_dirty()) {
    const bool left = session->state == SessionState::ending || session->state == SessionState::detached;
    if (left && session->tasks.empty() && session->detached.empty() && !adoption_.has_zombies(*session)) {
      finish_ending(*session);
    } else {
      delivery_.pump(*session);
    }
  }
}

}  // namespace weft::broker
