// SPDX-License-Identifier: MIT
// WorkerCore towards the broker: presence, claims, GETs and their answers, leaving.
#include "worker/core/worker_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "common/base/check.hpp"

namespace weft::worker {

namespace {

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

WorkerCore::WorkerCore(Settings settings)
    : settings_(std::move(settings)),
      presence_(settings_.presence, settings_.jitter_seed),
      blobs_(settings_.blobs),
      indices_(settings_.indices) {
  WEFT_CHECK(settings_.hello.slots > 0);
  for (std::uint32_t slot = 0; slot < settings_.hello.slots; ++slot)
    free_slots_.insert(free_slots_.end(), slot);
}

void WorkerCore::step(Time now, std::span<const Event> events, Actions& actions) {
  if (exited_) return;
  WEFT_CHECK(now >= now_);
  now_ = now;
  actions_ = &actions;
  const std::size_t before = actions.size();
  for (const Event& event : events) {
    if (!exited_) std::visit([this](const auto& e) { on(e); }, event);
  }
  if (!exited_) {
    settle_blobs();
    if (std::exchange(dispatch_needed_, false)) dispatch();
    if (std::exchange(programs_changed_, false)) forget_unused_programs();
    leave_if_done();
  }
  const auto sends = [](const Action& action) {
    return std::holds_alternative<Send>(action) || std::holds_alternative<ServeChunk>(action);
  };
  if (presence_.joined() &&
      std::any_of(actions.begin() + static_cast<std::ptrdiff_t>(before), actions.end(), sends))
    presence_.on_sent(now);
  actions_ = nullptr;
}

std::optional<Time> WorkerCore::deadline() const {
  if (exited_) return std::nullopt;
  std::optional<Time> due = presence_.deadline();
  due = earlier(due, blobs_.deadline());
  due = earlier(due, runners_deadline());
  due = earlier(due, dispatch_due_);
  return earlier(due, leave_at_);
}

void WorkerCore::send(wire::Message message) {
  if (presence_.joined()) actions_->push_back(Send{std::move(message)});
}

// ---- presence ----

void WorkerCore::on(const LinkUp&) {
  if (presence_.stage() != Presence::Stage::connecting) return;
  presence_.on_connected(now_);
  actions_->push_back(Send{settings_.hello});
}

void WorkerCore::on(const LinkDown& down) {
  if (presence_.stage() == Presence::Stage::backing_off) return;
  lose_broker(down.reason);
}

/// The link is down, or the caller closes it. Running tasks go on.
void WorkerCore::lose_broker(const std::string& reason) {
  const bool was_joined = presence_.joined();
  if (presence_.stage() != Presence::Stage::backing_off) presence_.on_disconnected(now_);
  blobs_.on_lost();
  if (was_joined) {
    notify({.kind = NoticeKind::broker_lost,
            .name = settings_.broker,
            .detail = reason,
            .numbers = {tasks_.size()}});
    log_reason_.clear();
  } else {
    tell_of_waiting(reason);
  }
}

/// Logs each new reason once, and a repeated one only at failures 1, 2, 4, 8 ...
void WorkerCore::tell_of_waiting(const std::string& reason) {
  const std::uint32_t failures = presence_.failures();
  if (reason == log_reason_ && (failures & (failures - 1)) != 0) return;
  log_reason_ = reason;
  notify({.kind = NoticeKind::broker_awaited,
          .name = settings_.broker,
          .detail = reason,
          .numbers = {static_cast<std::uint64_t>((presence_.deadline() - now_).count())}});
}

void WorkerCore::tick_presence() {
  for (;;) {
    const Presence::Stage before = presence_.stage();
    switch (presence_.tick(now_)) {
      case Presence::Need::nothing:
        return;
      case Presence::Need::connect:
        actions_->push_back(OpenLink{});
        break;
      case Presence::Need::heartbeat:
        actions_->push_back(Send{hold_.heartbeat()});
        break;
      case Presence::Need::close:
        actions_->push_back(CloseLink{});
        blobs_.on_lost();
        if (before == Presence::Stage::joined) {
          notify({.kind = NoticeKind::broker_silent, .name = settings_.broker, .numbers = {tasks_.size()}});
          log_reason_.clear();
        } else {
          tell_of_waiting(before == Presence::Stage::connecting ? "no answer" : "it has not sent WELCOME");
        }
    }
  }
}

void WorkerCore::on(const Tick&) {
  tick_presence();
  blobs_.tick(now_);
  tick_runners();
  if (dispatch_due_ && now_ >= *dispatch_due_) dispatch_needed_ = true;
}

void WorkerCore::on(const Received& received) {
  if (presence_.stage() != Presence::Stage::greeting && !presence_.joined())
    return;  // from a link that was given up
  presence_.on_heard(now_);
  received_minor_ = received.minor;
  std::visit(
      [this]<class M>(const M& message) {
        constexpr bool kGreeting = std::is_same_v<M, wire::Welcome> || std::is_same_v<M, wire::Refuse>;
        if constexpr (requires { receive(message); }) {
          if (kGreeting || presence_.joined()) receive(message);
        } else if constexpr (!std::is_same_v<M, wire::Heartbeat>) {
          notify({.kind = NoticeKind::message_unhandled, .detail = wire::describe(message)});
        }
      },
      *received.message);
}

void WorkerCore::receive(const wire::Welcome& welcome) {
  if (presence_.stage() != Presence::Stage::greeting) return;
  epoch_ = welcome.epoch;
  presence_.on_welcome(now_, std::chrono::milliseconds(welcome.heartbeat_ms), welcome.liveness,
                       received_minor_);
  log_reason_.clear();
  notify({.kind = NoticeKind::broker_joined,
          .name = settings_.broker,
          .place = settings_.hello.name,
          .numbers = {epoch_, settings_.hello.slots}});
  if (!welcome.resumed) forget_idle_clients();
  claim_everything();
  if (hold_.holds()) send(hold_.heartbeat());  // before the broker assigns tasks
  send(wire::Ready{});
  if (draining_) send(wire::Draining{});
  for (const auto& [id, client] : clients_) client.outbox.send_all(*actions_);
  blobs_.on_joined();
}

/// A broker that does not know this worker will never send END_SESSION for a session that the worker does not
/// claim.
void WorkerCore::forget_idle_clients() {
  std::set<Uuid> busy;
  tasks_.for_each([&](const Task& task) { busy.insert(task.key.id.session); });
  for (auto it = clients_.begin(); it != clients_.end();) {
    if (busy.contains(it->first) || !it->second.outbox.empty() || blobs_.has_results_of(it->first)) {
      ++it;
      continue;
    }
    it = forget_client(it);
  }
}

void WorkerCore::claim_everything() {
  std::map<Uuid, wire::Claims> by_session;
  for (Task* task : tasks_in_order()) {
    if (task->unwanted) continue;
    task->started_reported = task->started_at.has_value();
    by_session[task->key.id.session].tasks.push_back(
        {task->key.id.seq, task->key.attempt,
         task->started_reported ? wire::ClaimState::running : wire::ClaimState::queued, task->execution});
  }
  for (const auto& [id, client] : clients_) {
    wire::Claims claims = std::move(by_session[id]);
    claims.session = id;
    for (const Outbox::Entry& entry : client.outbox.entries()) {
      claims.tasks.push_back(
          {entry.record.seq, {entry.epoch, entry.record.number}, wire::ClaimState::done, entry.execution});
    }
    if (!claims.tasks.empty() || blobs_.has_results_of(id)) send(std::move(claims));
  }
}

void WorkerCore::receive(const wire::Refuse& refuse) {
  if (refuse.code == wire::RefuseCode::version || refuse.code == wire::RefuseCode::name_taken) {
    actions_->push_back(CloseLink{});
    lose_broker(refuse.text);
    exit(1, fmt::format("the broker at {} refuses this worker: {}", settings_.broker, refuse.text));
    return;
  }
  actions_->push_back(CloseLink{});
  lose_broker("it refused: " + refuse.text);
}

void WorkerCore::receive(const wire::Goodbye& goodbye) {
  actions_->push_back(CloseLink{});
  lose_broker(goodbye.reason.empty() ? "it said goodbye" : goodbye.reason);
}

// ---- blobs ----

void WorkerCore::receive(const wire::Get& get) { blobs_.serve(get, *actions_); }
void WorkerCore::receive(const wire::Drop& drop) { blobs_.drop_result(drop.id, *actions_); }
void WorkerCore::receive(const wire::Data& data) { blobs_.on_data(now_, data); }
void WorkerCore::receive(const wire::Gone& gone) { blobs_.on_gone(now_, gone); }

// ---- leaving ----

void WorkerCore::receive(const wire::Leave&) { on(Drain{}); }

void WorkerCore::on(const Drain&) {
  if (draining_) return;
  draining_ = true;
  notify({.kind = NoticeKind::worker_drains, .numbers = {tasks_.size()}});
  send(wire::Draining{});
  for (Task* task : tasks_in_order()) {
    if (task->stage != TaskStage::in_runner) give_back(*task);
  }
}

void WorkerCore::on(const Stop&) {
  draining_ = true;
  for (auto& [id, runner] : runners_) actions_->push_back(KillRunner{id, SIGKILL});
  exit(0, "stopped by a second signal");
}

/// Running tasks may take any time while the worker is joined. Without a broker, or once only results are
/// left, the wait ends after leave_wait.
void WorkerCore::leave_if_done() {
  if (!draining_ || exited_) return;
  if (!tasks_.empty() && presence_.joined()) return leave_at_.reset();
  const bool released =
      !blobs_.has_results() &&
      std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c.second.outbox.empty(); });
  if (!leave_at_) leave_at_ = now_ + settings_.leave_wait;
  if (tasks_.empty() && released) {
    exit(0, "drained");
  } else if (now_ < *leave_at_) {
    return;
  } else if (tasks_.empty()) {
    exit(0, "drained, but not every result has been fetched");
  } else {
    exit(0, fmt::format("there has been no broker at {} for {:.0f} s; {} {} not ended", settings_.broker,
                        seconds(settings_.leave_wait), tasks_.size(),
                        tasks_.size() == 1 ? "task has" : "tasks have"));
  }
}

void WorkerCore::exit(int code, const std::string& reason) {
  send(wire::Goodbye{reason});
  notify({.kind = NoticeKind::worker_exits, .detail = reason, .numbers = {static_cast<std::uint64_t>(code)}});
  actions_->push_back(Exit{code, reason});
  exited_ = true;
}

// ---- checking ----

void WorkerCore::check_invariants() const {
  std::size_t placed = 0;
  for (const auto& [name, program] : programs_) {
    for (const RunQueue& run_queue : program.run_queues) {
      std::size_t count = 0;
      for (const Task* task = run_queue.tasks.front(); task != nullptr;
           task = TaskQueue::after(*task), ++count) {
        WEFT_CHECK(task->stage == TaskStage::queued && &task->run_queue() == &run_queue);
        const Task* next = TaskQueue::after(*task);
        WEFT_CHECK(next == nullptr || task->order < next->order);
      }
      WEFT_CHECK(count == run_queue.tasks.size());
      placed += count;
    }
  }
  WEFT_CHECK(busy_slots() <= settings_.hello.slots);
  std::set<std::uint32_t> slots = free_slots_;
  for (const auto& [id, runner] : runners_) {
    WEFT_CHECK(slots.insert(runner.slot).second && runner.slot < settings_.hello.slots);
    WEFT_CHECK(runner.channel.empty() || runner.state != Runner::State::starting);
    WEFT_CHECK(!runner.run_queue->alone || runner.channel.size() <= 1);
    WEFT_CHECK(settings_.runner_max_tasks == 0 || runner.sent <= settings_.runner_max_tasks);
    WEFT_CHECK(runner.stop_stage == Runner::StopStage::none ||
               runner.stop_stage == Runner::StopStage::killed || runner.escalation_due);
    std::uint64_t ordinal = runner.sent - runner.channel.size();
    for (const Task* task : runner.channel) {
      ++placed;
      WEFT_CHECK(task->stage == TaskStage::in_runner && task->runner == id && task->ordinal == ++ordinal);
    }
  }
  WEFT_CHECK(slots.size() == settings_.hello.slots);
  tasks_.for_each([&](const Task& task) {
    placed += task.stage == TaskStage::waiting;
    WEFT_CHECK(task.is_missing_something() == (task.stage == TaskStage::waiting));
    const auto client = clients_.find(task.key.id.session);
    WEFT_CHECK(client == clients_.end() || !client->second.outbox.holds(task.key.id.seq, task.key.attempt));
  });
  WEFT_CHECK(placed == tasks_.size());
  for (const auto& [id, client] : clients_) {
    for (const auto& [number, spec] : client.specs) WEFT_CHECK(!spec->forgotten);
  }
  blobs_.check_invariants();
}

}  // namespace weft::worker
