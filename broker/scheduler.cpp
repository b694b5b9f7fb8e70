// SPDX-License-Identifier: MIT
// Dispatch, presence and timers. The messages are handled in on_client.cpp and on_worker.cpp, what
// happens to a task in lifecycle.cpp, who gets what in assign.cpp.
#include "broker/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::broker {

Scheduler::Scheduler(Settings settings, Time now)
    : settings_(std::move(settings)),
      now_(now),
      started_(now),
      stepped_(now),
      adoption_ends_(now + settings_.adoption_window),
      next_scan_(now + settings_.heartbeat_interval / 2),
      next_explain_(now + settings_.explain_after),
      blobs_(settings_.program_bytes_max),
      journal_queue_(settings_.journal_queue),
      blob_vault_(settings_.blob_vault),
      turns_(static_cast<double>(settings_.quantum.count())) {
  start_timer(adoption_ends_, TimerKind::adoption, {});
}

Scheduler::~Scheduler() {
  // Tasks leave their lists before either goes.
  for (auto& [id, session] : sessions_) {
    session->tasks.for_each([](std::uint64_t, Task& task) { TaskList::remove(task); });
  }
}

void Scheduler::step(Time now, const Event& event, Actions& actions) {
  WEFT_CHECK(now >= now_);
  now_ = now;
  actions_ = &actions;
  // A long silence of our own: whoever seems late may have a message waiting in our socket.
  if (now_ - stepped_ > settings_.heartbeat_interval) thaw();
  stepped_ = now_;
  backlog_max_ = std::min(settings_.backlog_bytes_max,
                          settings_.memory_budget / 2 / std::max<std::size_t>(sessions_.size(), 1));

  std::visit([this](const auto& e) { on(e); }, event);
  while (!timers_.empty() && timers_.top().at <= now_) {
    const Timer timer = timers_.top();
    timers_.pop();
    on_timer(timer);
  }
  if (now_ >= next_scan_) scan_peers();
  if (now_ >= next_explain_) explain_waiting();
  if (settings_.journal) tend_vault();
  schedule();
  finish_dirty();
  if (settings_.journal) write_journal();
  actions_ = nullptr;
}

Time Scheduler::deadline() const {
  Time at = std::min(next_scan_, next_explain_);
  if (!timers_.empty()) at = std::min(at, timers_.top().at);
  if (const auto due = earlier(journal_queue_.deadline(), blob_vault_.deadline())) at = std::min(at, *due);
  return at;
}

// ---- events ----

void Scheduler::on(const Received& event) {
  if (answer_question(event.peer, event.message, event.minor)) {
    if (Peer* known = peers_.find(event.peer)) {
      known->heard = now_;
    } else {
      actions_->push_back(ForgetPeer{event.peer});
    }
    return;
  }
  Peer* const peer = peers_.find(event.peer);
  if (peer == nullptr) {
    if (const auto* client = std::get_if<wire::HelloClient>(&event.message))
      return on_hello(event.peer, *client, event.minor);
    if (const auto* worker = std::get_if<wire::HelloWorker>(&event.message))
      return on_hello(event.peer, *worker, event.minor);
    if (std::holds_alternative<wire::Goodbye>(event.message)) {
      actions_->push_back(ForgetPeer{event.peer});
      return;
    }
    return refuse(event.peer, wire::RefuseCode::unknown_peer,
                  "say HELLO first: this broker does not know you");
  }
  peer->heard = now_;
  if (peer->session != nullptr) {
    if (peer->session->state == SessionState::silent) hear_again(*peer->session);
    on_client_message(*peer->session, event.message);
  } else {
    on_worker_message(*peer->worker, event.message);
  }
}

void Scheduler::on(const ReceivedGarbage& event) {
  if (!knows(event.peer) && !event.version) {
    actions_->push_back(ForgetPeer{event.peer});  // not one of us: no answer
    return;
  }
  log(Log::Level::warning, fmt::format("a message was refused: {}", event.reason));
  refuse(event.peer, event.version ? wire::RefuseCode::version : wire::RefuseCode::malformed, event.reason);
}

void Scheduler::on(const PeerGone& event) {
  if (!knows(event.peer)) return;  // or not any more: it has a newer connection
  event.by_peer ? lose_peer(event.peer, "its connection broke", Loss::closed)
                : lose_peer(event.peer, "it cannot be reached", Loss::unreachable);
}

void Scheduler::on(const ProcessGone& event) {
  Session* session = find_session(event.session);
  if (session == nullptr || session->state == SessionState::ending ||
      session->state == SessionState::detached) {
    return;
  }
  drop_peer(std::exchange(session->peer, kNoPeer));
  end_session(*session, "its process has ended");
}

void Scheduler::on(const Tick&) {}

void Scheduler::on(const Shutdown& event) {
  peers_.for_each([&](PeerId id, const Peer&) {
    actions_->push_back(Send{id, wire::Goodbye{event.reason}});
  });
}

void Scheduler::on_timer(const Timer& timer) {
  switch (timer.kind) {
    case TimerKind::worker_gone: {
      Worker* worker = find_worker(timer.who);
      if (worker != nullptr && worker->state == WorkerState::lost && worker->gone_ends <= now_) {
        lose_worker(*worker, "its connection broke");
      }
      return;
    }
    case TimerKind::client_grace: {
      Session* session = find_session(timer.who);
      if (session == nullptr || !session->away() || session->grace_ends > now_) return;
      drop_peer(std::exchange(session->peer, kNoPeer));
      end_session(*session, session->loss + ", and it did not come back");
      return;
    }
    case TimerKind::task_due:
    case TimerKind::queue_timeout: {
      Session* session = find_session(timer.who);
      Task* task = session != nullptr ? find_task(*session, timer.seq) : nullptr;
      if (task == nullptr || task->due != timer.at) return;
      if (timer.kind == TimerKind::task_due && task->state == TaskState::delayed) queue(*task);
      if (timer.kind == TimerKind::queue_timeout && task->state == TaskState::queued)
        fail_unschedulable(*task);
      return;
    }
    case TimerKind::adoption:
      if (adopting()) return;
      for (auto& [id, session] : sessions_) {
        while (Task* task = session->awaiting.front()) start_again(*task);
      }
      return;
    case TimerKind::orphans:
      if (const auto expected = expected_.find(timer.who);
          expected == expected_.end() || now_ < expected->second) {
        return;
      }
      expected_.erase(timer.who);
      if (find_session(timer.who) != nullptr) return;
      std::erase_if(orphans_, [&](const auto& entry) { return entry.first.session == timer.who; });
      end_at_workers(timer.who);
      remove_holder(timer.who);
      return;
    case TimerKind::keep: {
      Session* session = find_session(timer.who);
      if (session == nullptr || !session->detached.contains(timer.seq)) return;
      log(Log::Level::info,
          fmt::format("the answer of detached task {} was not fetched in time: it is dropped",
                      TaskId{timer.who, timer.seq}.text()));
      return expire(TaskId{timer.who, timer.seq});
    }
    case TimerKind::found:
      if (Session* session = find_session(timer.who)) drop_when_free(*session, timer.seq);
      return;
    case TimerKind::rebalance:
      rebalance_planned_ = false;
      return;
    case TimerKind::avoided: {
      Worker* worker = find_worker(timer.who);
      if (worker == nullptr || !worker->avoided || worker->avoided_until > now_) return;
      worker->avoided = false;
      worker->outcomes.keep(kBadMin - 1);  // the next one that fails is enough
      update_open(*worker);
      return;
    }
  }
}

// ---- presence ----

/// We were frozen: everybody gets a fresh window, also those who wanted to come back after our start.
void Scheduler::thaw() {
  if (stepped_ < adoption_ends_) {
    adoption_ends_ = now_ + settings_.adoption_window;
    start_timer(adoption_ends_, TimerKind::adoption, {});
  }
  for (const auto& [session, until] : expected_) expect(session);
  peers_.for_each([&](PeerId, Peer& peer) { peer.heard = now_; });
  for (auto& [id, worker] : workers_) {
    if (worker->state != WorkerState::lost) continue;
    worker->gone_ends = now_ + settings_.gone_grace;
    start_timer(worker->gone_ends, TimerKind::worker_gone, id);
  }
  for (auto& [id, session] : sessions_) {
    renew_found_grace(*session);
    if (!session->away()) continue;
    session->grace_ends =
        std::max(session->grace_ends, std::max(now_, adoption_ends_) + settings_.client_grace);
    start_timer(session->grace_ends, TimerKind::client_grace, id);
  }
}

/// A worker has tasks of it; it has a while to say HELLO.
void Scheduler::expect(const Uuid& session) {
  Time& until = expected_[session];
  until = now_ + settings_.adoption_window + patience(Session{}.give_up);
  start_timer(until, TimerKind::orphans, session);
}

void Scheduler::scan_peers() {
  next_scan_ = now_ + settings_.heartbeat_interval / 2;
  const Duration silence_max = settings_.heartbeat_interval * settings_.heartbeat_liveness;
  std::vector<PeerId> silent;
  peers_.for_each([&](PeerId id, const Peer& peer) {
    if (now_ - peer.heard >= silence_max) {
      if (peer.session == nullptr || peer.session->state == SessionState::connected) silent.push_back(id);
    } else if (now_ - peer.sent >= settings_.heartbeat_interval) {
      send(id, wire::Heartbeat{});
    }
  });
  const std::string why =
      fmt::format("nothing was heard of it for {:.1f} s", static_cast<double>(silence_max.count()) / 1e6);
  for (const PeerId id : silent) {
    const Peer peer = peers_.at(id);
    if (peer.session != nullptr) {
      fall_silent(*peer.session, why);
      continue;
    }
    lose_peer(id, why, Loss::unreachable);
    lose_worker(*peer.worker, "no heartbeat");
  }
  for (auto& [id, session] : sessions_) acknowledge_submits(*session);
  avoid_bad_workers();
}

void Scheduler::refuse(PeerId peer, wire::RefuseCode code, std::string text) {
  send(peer, wire::Refuse{code, text});
  if (knows(peer)) {
    lose_peer(peer, text, Loss::unreachable);
  } else {
    actions_->push_back(ForgetPeer{peer});
  }
}

void Scheduler::lose_peer(PeerId id, const std::string& why, Loss loss) {
  const Peer peer = peers_.at(id);
  drop_peer(id);
  if (peer.session != nullptr) {
    lose_session(*peer.session, why, loss);
  } else {
    log(Log::Level::warning, fmt::format("worker {} is lost: {}", peer.worker->hello.name, why));
    lose_connection(*peer.worker);
  }
}

void Scheduler::drop_peer(PeerId peer) {
  if (peer == kNoPeer) return;
  peers_.erase(peer);
  blobs_.remove_peer(peer);
  actions_->push_back(ForgetPeer{peer});
}

// ---- blobs ----

BlobRelay::Reachable Scheduler::reachable() const {
  return [this](const Uuid& holder) {
    using Reach = BlobRelay::Reach;
    if (const auto session = sessions_.find(holder); session != sessions_.end()) {
      if (session->second->away()) return Reach::later;
      return session->second->state == SessionState::connected ? Reach::now : Reach::never;
    }
    if (const auto worker = workers_.find(holder); worker != workers_.end())
      return worker->second->state == WorkerState::lost ? Reach::later : Reach::now;
    // A session that a worker claims: who waits for a blob of it waits until it is here or given up.
    return expected_.contains(holder) ? Reach::later : Reach::never;
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
      if (const auto* data = std::get_if<wire::Data>(&message)) blob_vault_.on_data(now_, *data, *actions_);
      if (const auto* gone = std::get_if<wire::Gone>(&message)) blob_vault_.on_gone(now_, *gone, *actions_);
      continue;
    }
    if (to == kNoPeer) {
      if (const Session* session = find_session(holder)) to = session->peer;
      if (const Worker* worker = find_worker(holder)) to = worker->peer;
    }
    send(to, std::move(message));  // a holder without a connection is asked again when it resumes
  }
}

void Scheduler::on_blob_message(PeerId peer, const Uuid& holder, const wire::Message& message) {
  BlobRelay::Outbox outbox;
  if (const auto* get = std::get_if<wire::Get>(&message)) {
    if (blob_vault_.has(get->id)) {
      actions_->push_back(ReadBlob{peer, *get});
    } else {
      blobs_.get(peer, *get, reachable(), outbox);
    }
  }
  if (const auto* data = std::get_if<wire::Data>(&message)) blobs_.data(*data, outbox);
  if (const auto* gone = std::get_if<wire::Gone>(&message)) blobs_.gone(holder, *gone, reachable(), outbox);
  if (const auto* drop = std::get_if<wire::Drop>(&message)) outbox.push_back({kNoPeer, drop->holder, *drop});
  pass_on(outbox);
}

// ---- small things ----

void Scheduler::send(PeerId peer, wire::Message message) {
  if (peer == kNoPeer) return;
  if (Peer* known = peers_.find(peer)) known->sent = now_;
  actions_->push_back(Send{peer, std::move(message)});
}

void Scheduler::log(Log::Level level, std::string text) { actions_->push_back(Log{level, std::move(text)}); }

void Scheduler::start_timer(Time at, TimerKind kind, const Uuid& who, std::uint64_t seq) {
  timers_.push(Timer{at, kind, who, seq});
}

std::int64_t Scheduler::unix_ms(Time time) const {
  return (settings_.unix_us_at_zero + time.time_since_epoch().count()) / 1000;
}

Session* Scheduler::find_session(const Uuid& id) {
  const auto found = sessions_.find(id);
  return found != sessions_.end() ? found->second.get() : nullptr;
}

Worker* Scheduler::find_worker(const Uuid& incarnation) {
  const auto found = workers_.find(incarnation);
  return found != workers_.end() ? found->second.get() : nullptr;
}

Task* Scheduler::find_task(Session& session, std::uint64_t seq) { return session.tasks.find(seq); }

void Scheduler::finish_dirty() {
  // Ending a session or pumping one makes no other dirty.
  std::vector<Session*> dirty;
  dirty.swap(dirty_);
  for (Session* session : dirty) {
    session->dirty = false;
    const bool left = session->state == SessionState::ending || session->state == SessionState::detached;
    if (left && session->tasks.empty() && session->detached.empty() && !is_being_stopped(*session)) {
      finish_ending(*session);
    } else {
      pump(*session);
    }
  }
}

}  // namespace weft::broker
