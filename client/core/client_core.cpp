// SPDX-License-Identifier: MIT
// Presence and message dispatch; tasks.cpp has the rest.
#include "client/core/client_core.hpp"

#include <fmt/format.h>

#include "common/base/check.hpp"

namespace weft::client {

namespace {

// How long the search for a broker is not logged, and how long a connection must live to count as progress.
constexpr Duration kNotice = std::chrono::seconds(1);

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

std::uint64_t patience_of(Duration patience) {
  return patience >= detail::kForever ? Notice::kForever : static_cast<std::uint64_t>(patience.count());
}

}  // namespace

ClientCore::ClientCore(Settings settings, Time now)
    : settings_(std::move(settings)),
      presence_(settings_.presence, settings_.jitter_seed),
      fetcher_(settings_.fetch),
      now_(now),
      loss_(now) {}

void ClientCore::step(Time now, const Event& event, Actions& actions) {
  WEFT_CHECK(now >= now_);
  if (over_) return;
  now_ = now;
  actions_ = &actions;
  std::visit([this](const auto& e) { on(e); }, event);
  remake_lost();
  if (joined()) pump();
  actions_ = nullptr;
}

std::optional<Time> ClientCore::deadline() const {
  if (over_) return std::nullopt;
  std::optional<Time> due = earlier(presence_.deadline(), fetcher_.deadline());
  if (presence_.joined()) due = earlier(due, acks_.deadline());
  if (!presence_.joined()) {
    due = earlier(due, loss_.since() + (ever_joined() ? settings_.give_up : settings_.connect_timeout));
    if (!ever_joined() && !loss_.no_answer_reported()) due = earlier(due, loss_.since() + kNotice);
  }
  return due;
}

// ---- presence ----

void ClientCore::on(const LinkUp&) {
  if (presence_.stage() != Presence::Stage::connecting) return;
  presence_.on_connected(now_);
  send(wire::HelloClient{.session = settings_.id,
                         .name = settings_.name,
                         .host = settings_.host,
                         .pid = settings_.pid,
                         .epoch = epoch_,
                         .delivered = acks_.taken(),
                         .give_up_ms = static_cast<std::uint64_t>(settings_.give_up.count()) / 1000});
}

void ClientCore::on(const LinkDown& event) {
  lose_link(event.reason);
  presence_.on_disconnected(now_);
}

void ClientCore::on(const Tick&) {
  for (bool more = true; more && !over_;) {
    switch (const bool was_joined = presence_.joined(); presence_.tick(now_)) {
      case Presence::Need::connect:
        actions_->push_back(OpenLink{});
        break;
      case Presence::Need::heartbeat:
        send(wire::Heartbeat{});
        break;
      case Presence::Need::close:
        actions_->push_back(CloseLink{});
        lose_link(was_joined ? "the broker went silent" : "no answer");
        break;
      case Presence::Need::nothing:
        more = false;
        break;
    }
  }
  if (presence_.joined()) {
    if (acks_.is_due(now_)) send_ack();
  } else {
    const Duration patience = ever_joined() ? settings_.give_up : settings_.connect_timeout;
    if (now_ >= loss_.since() + patience) {
      give_up(fmt::format("{} at {} within {} s: {}",
                          ever_joined() ? "the broker was lost and did not come back" : "no broker answered",
                          settings_.address, seconds_of(patience), loss_.reason_or_no_answer()));
    } else if (!ever_joined() && !loss_.no_answer_reported() && now_ >= loss_.since() + kNotice) {
      log_no_answer();
    }
  }
  if (!over_) fetcher_.tick(now_, *actions_);
}

void ClientCore::log_no_answer() {
  loss_.on_no_answer_reported();
  notify({.kind = NoticeKind::broker_missing,
          .name = settings_.address,
          .detail = loss_.reason_or_no_answer(),
          .numbers = {0, patience_of(settings_.connect_timeout)}});
}

void ClientCore::on(const Close&) {
  if (presence_.joined()) send(wire::Goodbye{"the client is done"});
  actions_->push_back(CloseLink{});
  over_ = true;
  tasks_.clear();
  fetcher_.clear();
}

void ClientCore::lose_link(const std::string& reason) {
  fetcher_.on_lost();
  synced_ = false;
  under_way_.clear();
  under_way_bytes_ = 0;
  cancel_again_.clear();
  for (auto& [number, spec] : specs_) spec.defined = false;
  if (loss_.on_lost(now_, reason, ever_joined())) {
    notify({.kind = NoticeKind::broker_lost,
            .name = settings_.address,
            .detail = reason,
            .numbers = {tasks_.size(), patience_of(settings_.give_up)}});
  }
}

/// Closes this connection; Presence opens another one after its back-off.
void ClientCore::break_link(const std::string& reason) {
  actions_->push_back(CloseLink{});
  lose_link(reason);
  presence_.on_disconnected(now_);
}

void ClientCore::give_up(const std::string& reason) {
  actions_->push_back(CloseLink{});
  actions_->push_back(GaveUp{reason});
  over_ = true;
  tasks_.clear();
  fetcher_.clear();
}

// ---- messages ----

void ClientCore::on(const Received& event) {
  presence_.on_heard(now_);
  received_minor_ = event.minor;
  const bool is_greeting = std::holds_alternative<wire::Welcome>(event.message) ||
                           std::holds_alternative<wire::Refuse>(event.message);
  if (!is_greeting && !presence_.joined()) return;  // before WELCOME only greetings are valid
  if (!is_greeting && now_ >= loss_.joined_at() + kNotice) loss_.on_progress();
  std::visit(
      [this]<class M>(const M& message) {
        if constexpr (requires { this->on_message(message); }) {
          on_message(message);
        } else if constexpr (std::is_same_v<M, wire::Data>) {
          fetcher_.on_data(now_, message, *actions_);
        } else if constexpr (std::is_same_v<M, wire::Gone>) {
          fetcher_.on_gone(now_, message, *actions_);
        } else if constexpr (std::is_same_v<M, wire::Get>) {
          actions_->push_back(ServeChunk{message});
        } else if constexpr (!std::is_same_v<M, wire::Heartbeat>) {
          break_link(fmt::format("the broker sent a message that a client does not handle: {}",
                                 wire::describe(message)));
        }
      },
      event.message);
}

void ClientCore::on(const ReceivedGarbage& event) {
  if (event.version) {
    give_up(fmt::format("{} (broker at {})", event.reason, settings_.address));
  } else {
    break_link("the peer is not a Weft broker: " + event.reason);
  }
}

void ClientCore::on_message(const wire::Refuse& refuse) {
  if (refuse.code == wire::RefuseCode::version) {
    give_up(fmt::format("the broker at {} refused: {}", settings_.address, refuse.text));
  } else {
    break_link("the broker refused: " + refuse.text);
  }
}

void ClientCore::on_message(const wire::Goodbye& goodbye) {
  break_link("the broker left: " + goodbye.reason);
}

void ClientCore::on_message(const wire::Welcome& welcome) {
  if (presence_.stage() != Presence::Stage::greeting) return;
  if (welcome.epoch == 0 || welcome.heartbeat_ms == 0 || welcome.liveness == 0) {
    break_link("the broker sent a WELCOME with epoch, heartbeat_ms or liveness 0");
    return;
  }
  if (welcome.resumed && welcome.epoch == epoch_ && welcome.received > sent_max_) {
    break_link(fmt::format("the broker claims to have task {}, but none after {} has been sent",
                           welcome.received, sent_max_));
    return;
  }
  presence_.on_welcome(now_, std::chrono::milliseconds(welcome.heartbeat_ms), welcome.liveness,
                       received_minor_);
  if (welcome.resumed && welcome.epoch == epoch_) {
    resume_epoch(welcome);
  } else {
    begin_epoch(welcome);
  }
  sync_upto_ = sent_max_;
  repeat_fetched();
  if (loss_.on_joined(now_)) notify({.kind = NoticeKind::broker_back, .name = settings_.address});
  fetcher_.on_joined(now_, *actions_);
}

/// The broker is new or does not know this session: every open task is announced again, from the first.
void ClientCore::begin_epoch(const wire::Welcome& welcome) {
  epoch_ = welcome.epoch;
  acks_.restart();
  next_ = 1;
  reannounce_upto_ = sent_max_;
  for (auto& [number, spec] : specs_) spec.known = false;
  drop_cancelled(0);
  tasks_.for_each([this](std::uint64_t, Task& task) {
    if (task.extra) task.extra->remake = false;
    if (task.state != TaskState::running) return;
    task.state = TaskState::open;
    task.since = now_;
  });
}

/// The same broker, which has every task up to `received`. Later announcements are lost. CANCELs, and
/// REANNOUNCEs of tasks whose results were lost, may be lost too, so they are sent again.
void ClientCore::resume_epoch(const wire::Welcome& welcome) {
  next_ = welcome.received + 1;
  acks_.on_resumed();
  drop_cancelled(welcome.received);
  std::vector<std::uint64_t> cancels;
  std::vector<std::uint64_t> remakes;
  std::vector<std::uint64_t> unknown;  // cancelled tasks that the broker may not have: no answer may come
  tasks_.for_each([&](std::uint64_t seq, Task& task) {
    if (seq >= next_ || task.state == TaskState::pulling) return;
    const bool remade = task.extra && task.extra->remake;
    if (task.state != TaskState::cancelled) {
      if (remade) remakes.push_back(seq);
      return;
    }
    cancels.push_back(seq);
    if (remade) unknown.push_back(seq);
  });
  send_cancels(cancels);
  for (const std::uint64_t seq : unknown) forget(seq);
  for (const std::uint64_t seq : remakes) remake(seq);
}

void ClientCore::send(wire::Message message) {
  presence_.on_sent(now_);
  actions_->push_back(Send{std::move(message)});
}

void ClientCore::check_invariants() const {
  std::size_t bytes = 0;
  for (const UnderWay& message : under_way_) bytes += message.bytes;
  WEFT_CHECK(bytes == under_way_bytes_);
  WEFT_CHECK(bytes < settings_.window_bytes + 2 * wire::kInlineBytesMax);
  WEFT_CHECK(under_way_.empty() || joined() || over_);

  std::unordered_map<std::uint32_t, std::uint64_t> uses;
  tasks_.for_each([&](std::uint64_t seq, const Task& task) {
    WEFT_CHECK(seq <= submitted_);
    WEFT_CHECK(task.state != TaskState::cancelled || seq <= sent_max_);
    const bool pulling = task.state == TaskState::pulling;
    WEFT_CHECK(!pulling || (task.extra && fetcher_.needs(seq, task.extra->blob.id)));
    ++uses[task.spec];
  });
  for (const auto& [number, spec] : specs_) {
    WEFT_CHECK(over_ || spec.tasks == uses[number]);
    WEFT_CHECK(over_ || !spec.retired || spec.tasks > 0);
  }
  fetcher_.check_invariants();
}

}  // namespace weft::client
