// SPDX-License-Identifier: MIT
// ClientCore takes what the broker delivers: charges, answers, and results that are lost.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "client/core/client_core.hpp"
#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::client {

namespace {

/// "2024-05-01 12:00:01.250" (UTC), or "?" for 0.
std::string utc(std::int64_t unix_ms) {
  if (unix_ms <= 0) return "?";
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, unix_ms % 1000);
}

std::string_view verb_of(wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::ok:
      return "finished";
    case wire::Outcome::failed:
      return "failed";
    case wire::Outcome::crashed:
      return "was lost";
    case wire::Outcome::timed_out:
      return "timed out";
    case wire::Outcome::cancelled:
      return "was cancelled";
    case wire::Outcome::cannot_start:
      return "could not start";
    case wire::Outcome::unschedulable:
      return "was not scheduled";
    case wire::Outcome::not_fetched:
      return "could not be sent to a worker";
    case wire::Outcome::refused:
      return "was refused";
    case wire::Outcome::unknown:
      return "ended in a way that this client is too old to know";
  }
  return "?";
}

wire::ErrorInfo info_of(const wire::DeliveryRecord& record) {
  if (record.payload.is_blob()) return {};
  auto decoded = wire::decode_error(record.payload.inline_bytes());
  return decoded ? std::move(*decoded) : wire::ErrorInfo{};
}

/// The error in one line.
std::string what_of(const wire::DeliveryRecord& record) {
  const wire::ErrorInfo info = info_of(record);
  const std::string message = info.message.substr(0, info.message.find('\n')).substr(0, 200);
  return info.type.empty() ? message : info.type + ": " + message;
}

bool is_execution(wire::Outcome outcome) {
  return outcome == wire::Outcome::failed || outcome == wire::Outcome::crashed ||
         outcome == wire::Outcome::timed_out;
}

}  // namespace

void ClientCore::on_message(const wire::Deliver& deliver) {
  const std::uint64_t before = acks_.taken();
  if (deliver.first > before + 1) {
    break_link(fmt::format("delivery {} came after delivery {}", deliver.first, before));
    return;
  }
  acks_.on_deliver();
  std::uint64_t number = deliver.first;
  for (const wire::DeliveryRecord& record : deliver.records) {
    if (acks_.take(number++, record.payload.size())) take(record);
  }
  if (acks_.taken() > before) loss_.on_progress();
}

void ClientCore::send_ack() {
  send(wire::Ack{acks_.taken()});
  acks_.on_sent(now_);
}

/// The broker ignores a REANNOUNCE of a task whose answer is on its way, which one that has been seen is not.
void ClientCore::reannounce(wire::Reannounce message) {
  if (acks_.has_unacknowledged()) send_ack();
  send(std::move(message));
}

void ClientCore::take(const wire::DeliveryRecord& record) {
  // a kind that only a newer broker knows: acknowledged and otherwise ignored
  if (record.kind == wire::DeliveryKind::unknown) return;
  Task* task = tasks_.find(record.seq);
  const bool is_final = record.kind == wire::DeliveryKind::final;
  const bool open = task != nullptr && (task->state == TaskState::open || task->state == TaskState::running);
  if (open) {
    if (is_final) {
      take_final(record.seq, *task, record);
    } else {
      take_charge(record.seq, *task, record);
    }
    return;
  }
  if (!is_final) return;
  const bool pulls_it = task != nullptr && task->state == TaskState::pulling;
  if (record.outcome == wire::Outcome::ok && record.payload.is_blob() && !pulls_it) {
    const wire::BlobRef blob = record.payload.blob();
    send(wire::Drop{blob.holder, blob.id});  // the result is not needed
  }
  if (task != nullptr && task->state == TaskState::cancelled) forget(record.seq);
}

void ClientCore::take_charge(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record) {
  Extra& extra = extra_of(task);
  // A broker that restarted on its journal may repeat charges.
  if (record.retries_used + record.crashes > extra.retries_used + extra.crashes) {
    ++extra.attempts;
    extra.retries_used = record.retries_used;
    extra.crashes = record.crashes;
    add_history(extra, record);
    if (record.outcome == wire::Outcome::crashed) log_crash(seq, task, record);
  }
  if (task.state == TaskState::running) {
    task.state = TaskState::open;
    actions_->push_back(MarkRunning{.seqs = {seq}, .running = false});
  }
  task.since = now_;
}

/// Logs a crash: the task runs again, up to crash_limit times, before its Future fails, and the user may want
/// to know now. At most one line every few seconds.
void ClientCore::log_crash(std::uint64_t seq, const Task& task, const wire::DeliveryRecord& record) {
  constexpr Duration kInterval = std::chrono::seconds(5);
  if (now_ < crash_log_at_) {
    ++crashes_unlogged_;
    return;
  }
  crash_log_at_ = now_ + kInterval;
  const wire::ErrorInfo info = info_of(record);
  const wire::TaskSpec& spec = spec_of(task.spec).content;
  const std::size_t others = std::exchange(crashes_unlogged_, 0);
  TaskId id{settings_.id, seq};
  if (spec.kind == wire::TaskKind::attached) {
    const wire::TaskRef named = wire::decode_ref(task.payload.inline_bytes());
    id = {named.session, named.seq};
  }
  const bool attached = spec.kind == wire::TaskKind::attached;
  notify({.kind = NoticeKind::task_crashed,
          .name = spec.function,
          .place = info.worker,
          .label = spec.label,
          .detail = what_of(record),
          .task = id,
          .numbers = {record.crashes, attached ? 0 : spec.crash_limit, others}});
}

void ClientCore::take_final(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record) {
  const bool ok = record.outcome == wire::Outcome::ok;
  if (ok && record.payload.is_blob()) {
    extra_of(task).blob = record.payload.blob();
    task.state = TaskState::pulling;
    fetcher_.add(now_, seq, task.extra->blob, *actions_);
    return;
  }
  Completion completion{.seq = seq, .outcome = record.outcome, .payload = record.payload.without_tail()};
  if (!ok) completion.arguments = std::exchange(task.payload, {});
  if (!ok && is_execution(record.outcome)) {
    add_history(extra_of(task), record);
    // The error itself contains the text of the last attempt, so the history does not repeat it.
    const std::string what = ": " + what_of(record);
    for (std::string& line : task.extra->history) {
      if (line.ends_with(what)) line.resize(line.size() - what.size());
    }
  }
  completion.attempts =
      (task.extra ? task.extra->attempts : 0) + (ok || is_execution(record.outcome) ? 1 : 0);
  if (task.extra) completion.history = std::move(task.extra->history);
  complete(std::move(completion));
  forget(seq);
}

/// Adds a line for an attempt; the first line and the most recent ones are retained.
void ClientCore::add_history(Extra& extra, const wire::DeliveryRecord& record) {
  const wire::ErrorInfo info = info_of(record);
  const std::string what = what_of(record);
  const bool is_charge = record.kind == wire::DeliveryKind::charged;
  std::string line = fmt::format("attempt {}: {}{}, {} to {}: {}{}{}", extra.attempts + (is_charge ? 0 : 1),
                                 info.worker.empty() ? "a worker" : "worker " + info.worker,
                                 info.host.empty() ? "" : " on " + info.host, utc(info.started_ms),
                                 utc(info.ended_ms), verb_of(record.outcome), what.empty() ? "" : ": ", what);
  if (extra.history.size() >= settings_.history_max) extra.history.erase(extra.history.begin() + 1);
  extra.history.push_back(std::move(line));
}

void ClientCore::on_message(const wire::Running& running) {
  MarkRunning mark;
  for (const std::uint64_t seq : running.seqs) {
    Task* task = tasks_.find(seq);
    if (task == nullptr || task->state != TaskState::open) continue;
    if (spec_of(task->spec).content.queue_timeout_ms != 0) {
      const Duration before = waited(*task);
      extra_of(*task).waited = before;
    }
    task->state = TaskState::running;
    mark.seqs.push_back(seq);
  }
  if (!mark.seqs.empty()) actions_->push_back(std::move(mark));
}

/// Announces again the tasks whose large results are lost.
void ClientCore::remake_lost() {
  for (const Fetcher::Lost& lost : fetcher_.take_lost()) {
    for (const Fetcher::Needer& needer : lost.needers) {
      notify({.kind = NoticeKind::result_lost,
              .detail = lost.reason,
              .task = {settings_.id, needer.seq},
              .numbers = {1}});
      if (lost.held && joined()) send(wire::Drop{needer.holder, lost.id});
      remake(needer.seq);
    }
  }
}

void ClientCore::on_message(const wire::Journaled& kept) {
  for (const std::uint64_t seq : kept.seqs) mark_journaled(seq);
}

/// The detached task no longer depends on this client: the broker has the task in its journal, or has
/// answered it, possibly by a refusal.
void ClientCore::mark_journaled(std::uint64_t seq, const wire::Payload* refusal) {
  if (!durable_.on_journaled(seq)) return;
  if (actions_->empty() || !std::holds_alternative<MarkJournaled>(actions_->back()))
    actions_->push_back(MarkJournaled{});
  MarkJournaled& mark = std::get<MarkJournaled>(actions_->back());
  ++mark.tasks;
  if (refusal == nullptr || ++mark.refused > 1 || refusal->is_blob()) return;
  if (auto info = wire::decode_error(refusal->inline_bytes())) mark.reason = info->message;
}

}  // namespace weft::client
