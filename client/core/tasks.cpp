// SPDX-License-Identifier: MIT
// ClientCore's tasks: submitted, announced, cancelled, answered.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "client/core/client_core.hpp"
#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::client {

namespace {

// Limits of one message of tasks, or one Complete; the shell packs messages into frames. For larger messages
// the C library would get memory from the kernel, and return it, each time.
constexpr std::size_t kRecordsMax = 1024;
constexpr std::size_t kMessageBytes = 256 << 10;
constexpr std::size_t kRecordBytes = 16;  // approximate size of a record without its payload

/// Splits ids into messages with at most `max` each, so that each message stays below 1 MiB.
template <class Message, class Id>
std::vector<Message> in_parts(const std::vector<Id>& ids, std::ptrdiff_t max) {
  std::vector<Message> messages;
  for (auto from = ids.begin(); from != ids.end();) {
    const auto to = from + std::min(ids.end() - from, max);
    messages.push_back(Message{{from, to}});
    from = to;
  }
  return messages;
}

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

// ---- from the program ----

void ClientCore::on(const DefineSpec& event) {
  const auto requirement = wire::required_beyond(event.content, 0);
  const Spec spec{.content = event.content, .minor = requirement ? requirement->minor : std::uint8_t{0}};
  const bool inserted = specs_.try_emplace(event.spec, spec).second;
  WEFT_CHECK(inserted);
}

void ClientCore::on(const RetireSpec& event) {
  if (!specs_.contains(event.spec)) return;
  spec_of(event.spec).retired = true;
  drop_if_unused(event.spec);
}

void ClientCore::on(const Submit& event) {
  for (const wire::SubmitRecord& record : event.tasks) {
    WEFT_CHECK(record.seq > submitted_);
    submitted_ = record.seq;
    Spec& spec = spec_of(record.spec);
    ++spec.tasks;
    note_detached(record.seq, spec.content, record.payload);
    tasks_.emplace(record.seq,
                   Task{.payload = record.payload, .extra = {}, .since = now_, .spec = record.spec});
  }
}

void ClientCore::note_detached(std::uint64_t seq, const wire::TaskSpec& spec, const wire::Payload& payload) {
  if (spec.detach) {
    unkept_.insert(seq);
    untaken_[seq] = {settings_.id, seq};
  } else if (spec.kind == wire::TaskKind::attached) {
    untaken_[seq] = wire::decode_ref(payload.inline_bytes());
  }
}

void ClientCore::on(const Taken& event) {
  const auto found = untaken_.find(event.seq);
  if (found == untaken_.end()) return;
  taken_.push_back({event.seq, found->second});
  if (joined()) send_fetched({found->second});
  untaken_.erase(found);
}

/// Whether the task outlives this client.
bool ClientCore::outlives_us(const Task& task) {
  const wire::TaskSpec& spec = spec_of(task.spec).content;
  return spec.detach || spec.kind == wire::TaskKind::attached;
}

void ClientCore::on(const CancelTasks& event) {
  std::vector<std::uint64_t> cancelled;
  std::vector<wire::TaskRef> fetched;
  for (const std::uint64_t seq : event.seqs) {
    Task* task = tasks_.find(seq);
    if (task != nullptr && task->state == TaskState::cancelled) continue;
    if (const auto kept = untaken_.find(seq); kept != untaken_.end()) {
      fetched.push_back(kept->second);
      taken_.push_back({seq, kept->second});
      untaken_.erase(kept);
    }
    if (task == nullptr) {  // the task has just been answered
      settle_cancel(seq);
      continue;
    }
    complete({.seq = seq,
              .outcome = wire::Outcome::cancelled,
              .attempts = task->extra ? task->extra->attempts : 0});
    if (task->state == TaskState::pulling) {  // the broker has given the final answer, so needs no CANCEL
      const wire::BlobRef blob = task->extra->blob;
      fetcher_.remove(now_, seq, blob.id, *actions_);
      if (joined()) send(wire::Drop{blob.holder, blob.id});
      forget(seq);
      settle_cancel(seq);
    } else if (seq >= next_ &&
               (seq > reannounce_upto_ || !outlives_us(*task))) {  // the broker does not have the task
      forget(seq);
      settle_cancel(seq);
    } else {
      if (!outlives_us(*task)) {  // a task that outlives us may have to be announced again, with its payload
        if (task->payload.is_blob()) actions_->push_back(ReleaseArgument{task->payload.blob().id});
        task->payload = {};
      }
      task->state = TaskState::cancelled;
      if (seq < next_) cancelled.push_back(seq);
    }
  }
  if (!joined()) return;  // CANCEL and FETCHED are sent after the next WELCOME
  send_cancels(cancelled);
  send_fetched(fetched);
}

void ClientCore::settle_cancel(std::uint64_t seq) {
  if (actions_->empty() || !std::holds_alternative<CancelsSettled>(actions_->back()))
    actions_->push_back(CancelsSettled{});
  std::get<CancelsSettled>(actions_->back()).seqs.push_back(seq);
}

void ClientCore::send_cancels(const std::vector<std::uint64_t>& seqs) {
  for (wire::Cancel& message : in_parts<wire::Cancel>(seqs, 50'000)) send(std::move(message));
}

void ClientCore::send_fetched(const std::vector<wire::TaskRef>& tasks) {
  for (wire::Fetched& message : in_parts<wire::Fetched>(tasks, 25'000)) send(std::move(message));
}

/// Repeats every FETCHED, since the previous connection may have lost some. For a cancelled task that is
/// about to be announced again, FETCHED must follow its CANCEL: a broker that dropped the answer first would
/// run the task again.
void ClientCore::repeat_fetched() {
  std::vector<wire::TaskRef> fetched;
  for (const TakenTask& taken : taken_) {
    if (taken.seq < next_ || tasks_.find(taken.seq) == nullptr) fetched.push_back(taken.ref);
  }
  send_fetched(fetched);
}

void ClientCore::on(const BlobReady& event) {
  const std::vector<Fetcher::Needer> needers = fetcher_.on_ready(event);
  for (std::size_t i = 0; i < needers.size(); ++i) {
    Task& task = end_fetch(needers[i]);
    complete({.seq = needers[i].seq,
              .outcome = wire::Outcome::ok,
              .attempts = task.extra->attempts + 1,
              .takes_blob = i + 1 == needers.size(),
              .payload = wire::Payload(task.extra->blob),
              .history = std::move(task.extra->history)});
    forget(needers[i].seq);
  }
}

void ClientCore::on(const BlobBad& event) {
  for (const Fetcher::Needer& needer : fetcher_.on_bad(now_, event, *actions_)) {
    const Task& task = end_fetch(needer);
    const wire::ErrorInfo error{
        .type = "std::bad_alloc",
        .message = fmt::format("the result of {} bytes does not fit into the memory of this client",
                               task.extra->blob.size)};
    complete({.seq = needer.seq,
              .outcome = wire::Outcome::failed,
              .attempts = task.extra->attempts + 1,
              .payload = wire::Payload(wire::encode_error(error))});
    forget(needer.seq);
  }
}

/// The result of this task has been fetched, or does not fit into memory: tells its holder to drop the blob.
ClientCore::Task& ClientCore::end_fetch(const Fetcher::Needer& needer) {
  Task* task = tasks_.find(needer.seq);
  WEFT_CHECK(task != nullptr && task->state == TaskState::pulling);
  if (joined()) send(wire::Drop{needer.holder, task->extra->blob.id});
  return *task;
}

// ---- announcing ----

/// Sends what the window allows (flow control): first the tasks that were announced on earlier connections,
/// then SYNCED, then new tasks.
void ClientCore::pump() {
  for (;;) {
    if (!synced_ && next_ > sync_upto_) {
      flush_announced();
      synced_ = true;
      send(wire::Synced{});
    }
    if (under_way_bytes_ >= settings_.window_bytes) break;
    const auto [seq, task] = tasks_.first_from(next_);
    if (task == nullptr || (!synced_ && seq > sync_upto_)) {
      if (synced_) break;
      next_ = sync_upto_ + 1;  // no older tasks are left
      continue;
    }
    next_ = seq + 1;
    // A cancelled task needs no announcement, unless the journal of a new broker may have it. For a task that
    // is pulling, the answer is known.
    const bool cancel_again = task->state == TaskState::cancelled && seq <= reannounce_upto_;
    if (task->state != TaskState::open && task->state != TaskState::running && !cancel_again) continue;
    const bool too_new = spec_of(task->spec).minor > presence_.broker_minor();
    if (cancel_again) {
      if (too_new) {
        forget(seq);
      } else {
        announce(seq, *task, true);
        cancel_again_.push_back(seq);
      }
    } else if (too_new) {
      refuse_too_new(seq, *task);
    } else {
      announce(seq, *task, seq <= reannounce_upto_);
    }
  }
  flush_announced();
}

void ClientCore::announce(std::uint64_t seq, Task& task, bool older_than_epoch) {
  if (!spec_of(task.spec).defined) {
    flush_announced();  // tasks announced before the DEFINE must be sent before it
    define(task.spec);
  }
  if (older_than_epoch) {
    const bool cancelled = task.state == TaskState::cancelled;
    if (cancelled != reannounce_.cancelled) flush_announced();
    reannounce_.cancelled = cancelled;
    reannounce_.tasks.push_back(again(seq, task));
  } else {
    submit_.tasks.push_back({.seq = seq, .spec = task.spec, .payload = task.payload});
  }
  const std::size_t bytes = task.payload.size() + kRecordBytes;
  if (submit_.tasks.size() + reannounce_.tasks.size() == 1) under_way_.emplace_back();
  under_way_.back().last_seq = seq;
  under_way_.back().bytes += bytes;
  under_way_bytes_ += bytes;
  sent_max_ = std::max(sent_max_, seq);
  if (under_way_.back().bytes >= kMessageBytes || submit_.tasks.size() >= kRecordsMax ||
      reannounce_.tasks.size() >= kRecordsMax || seq == reannounce_upto_) {
    flush_announced();
  }
}

/// The broker is too old for an option of the task and would silently ignore it, so the task is refused here.
void ClientCore::refuse_too_new(std::uint64_t seq, const Task& task) {
  const std::uint8_t minor = presence_.broker_minor();
  const auto requirement = wire::required_beyond(spec_of(task.spec).content, minor);
  WEFT_CHECK(requirement.has_value());
  const wire::ErrorInfo error{
      .message = fmt::format(
          "its option `{}` needs a broker that speaks protocol {}.{}, and the one at {} speaks "
          "{}.{}: start a newer broker, or leave the option out",
          requirement->field, wire::kMajor, requirement->minor, settings_.address, wire::kMajor, minor)};
  complete({.seq = seq,
            .outcome = wire::Outcome::refused,
            .attempts = task.extra ? task.extra->attempts : 0,
            .payload = wire::Payload(wire::encode_error(error))});
  forget(seq);
}

void ClientCore::flush_announced() {
  if (!reannounce_.tasks.empty()) reannounce(std::exchange(reannounce_, {}));
  if (!submit_.tasks.empty()) send(std::exchange(submit_, {}));
  if (cancel_again_.empty()) return;
  send_cancels(cancel_again_);
  std::vector<wire::TaskRef> fetched;  // the answer of a cancelled task is not needed either
  for (const std::uint64_t seq : cancel_again_) {
    const Task& task = *tasks_.find(seq);
    const bool attached = spec_of(task.spec).content.kind == wire::TaskKind::attached;
    fetched.push_back(attached ? wire::decode_ref(task.payload.inline_bytes())
                               : wire::TaskRef{settings_.id, seq});
  }
  send_fetched(fetched);
  cancel_again_.clear();
}

void ClientCore::define(std::uint32_t number) {
  Spec& spec = spec_of(number);
  if (spec.defined) return;
  spec.defined = spec.known = true;
  send(wire::Define{.spec = number, .content = spec.content});
}

wire::ReannounceRecord ClientCore::again(std::uint64_t seq, const Task& task) const {
  return {.seq = seq,
          .spec = task.spec,
          .retries_used = task.extra ? task.extra->retries_used : 0,
          .crashes = task.extra ? task.extra->crashes : 0,
          .waited_ms = static_cast<std::uint64_t>(
              std::chrono::duration_cast<std::chrono::milliseconds>(waited(task)).count()),
          .payload = task.payload};
}

/// The result is lost although the broker has given the final answer: announces the task again, out of turn.
void ClientCore::remake(std::uint64_t seq) {
  Task* task = tasks_.find(seq);
  WEFT_CHECK(task != nullptr);
  task->state = TaskState::open;
  task->since = now_;  // time spent running or fetching does not count as queue time
  Extra& extra = extra_of(*task);
  extra.remake = true;
  if (!joined() || seq >= next_) return;  // pump() will announce it
  if (spec_of(task->spec).minor > presence_.broker_minor()) return refuse_too_new(seq, *task);
  define(task->spec);
  reannounce({{again(seq, *task)}});
}

void ClientCore::on_message(const wire::Received& received) {
  if (!under_way_.empty() && under_way_.front().last_seq <= received.seq) note_progress();
  while (!under_way_.empty() && under_way_.front().last_seq <= received.seq) {
    under_way_bytes_ -= under_way_.front().bytes;
    under_way_.pop_front();
  }
}

// ---- from the broker ----

void ClientCore::on_message(const wire::Deliver& deliver) {
  if (deliver.first > delivered_ + 1) {
    break_link(fmt::format("delivery {} came after delivery {}", deliver.first, delivered_));
    return;
  }
  ack_due_ = true;  // even for repeated deliveries, since the first ACK may be lost
  const std::uint64_t before = delivered_;
  std::uint64_t number = deliver.first;
  for (const wire::DeliveryRecord& record : deliver.records) {
    if (number++ <= delivered_) continue;
    delivered_ = number - 1;
    unacked_bytes_ += record.payload.size();
    take(record);
  }
  if (delivered_ > before) note_progress();
}

/// ACKs are coalesced: each goes on to a worker, and wakes as many threads on its way as a result does.
bool ClientCore::must_ack() const {
  return ack_due_ && (now_ >= ack_at_ || delivered_ - acked_ >= settings_.ack_deliveries ||
                      unacked_bytes_ >= settings_.ack_bytes);
}

void ClientCore::send_ack() {
  send(wire::Ack{delivered_});
  acked_ = delivered_;
  ack_due_ = false;
  unacked_bytes_ = 0;
  ack_at_ = now_ + settings_.ack_interval;
}

/// The broker ignores a REANNOUNCE of a task whose answer is on its way, which one that has been seen is not.
void ClientCore::reannounce(wire::Reannounce message) {
  if (acked_ < delivered_) send_ack();
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

void ClientCore::on_message(const wire::Kept& kept) {
  for (const std::uint64_t seq : kept.seqs) mark_kept(seq);
}

/// The detached task no longer depends on this client: the broker has the task in its journal, or has
/// answered it, possibly by a refusal.
void ClientCore::mark_kept(std::uint64_t seq, const wire::Payload* refusal) {
  if (unkept_.erase(seq) == 0) return;
  if (actions_->empty() || !std::holds_alternative<MarkKept>(actions_->back()))
    actions_->push_back(MarkKept{});
  MarkKept& mark = std::get<MarkKept>(actions_->back());
  ++mark.tasks;
  if (refusal == nullptr || ++mark.refused > 1 || refusal->is_blob()) return;
  if (auto info = wire::decode_error(refusal->inline_bytes())) mark.reason = info->message;
}

// ---- tables ----

Duration ClientCore::waited(const Task& task) const {
  const Duration before = task.extra ? task.extra->waited : Duration{};
  return task.state == TaskState::running ? before : before + (now_ - task.since);
}

/// REQUIRES: the spec exists.
ClientCore::Spec& ClientCore::spec_of(std::uint32_t number) {
  if (recent_spec_.second == nullptr || recent_spec_.first != number) {
    const auto found = specs_.find(number);
    WEFT_CHECK(found != specs_.end());
    recent_spec_ = {number, &found->second};
  }
  return *recent_spec_.second;
}

ClientCore::Extra& ClientCore::extra_of(Task& task) {
  if (!task.extra) task.extra = std::make_unique<Extra>();
  return *task.extra;
}

void ClientCore::forget(std::uint64_t seq) {
  Task* task = tasks_.find(seq);
  WEFT_CHECK(task != nullptr);
  if (task->payload.is_blob()) actions_->push_back(ReleaseArgument{task->payload.blob().id});
  if (task->state == TaskState::cancelled) settle_cancel(seq);
  const std::uint32_t number = task->spec;
  tasks_.erase(seq);
  --spec_of(number).tasks;
  drop_if_unused(number);
}

/// Forgets a retired spec once no task refers to it.
void ClientCore::drop_if_unused(std::uint32_t number) {
  const Spec& spec = spec_of(number);
  if (spec.tasks > 0 || !spec.retired) return;
  if (spec.known && joined()) send(wire::Forget{number});
  recent_spec_ = {};
  specs_.erase(number);
}

/// Forgets cancelled tasks above number `beyond`, which the broker does not have, except those that may be in
/// its journal.
void ClientCore::drop_cancelled(std::uint64_t beyond) {
  std::vector<std::uint64_t> gone;
  tasks_.for_each([&](std::uint64_t seq, const Task& task) {
    if (seq <= beyond || task.state != TaskState::cancelled) return;
    if (seq > reannounce_upto_ || !outlives_us(task)) gone.push_back(seq);
  });
  for (const std::uint64_t seq : gone) forget(seq);
}

void ClientCore::complete(Completion&& completion) {
  auto* last = actions_->empty() ? nullptr : std::get_if<Complete>(&actions_->back());
  if (last == nullptr || last->tasks.size() >= kRecordsMax)
    last = &std::get<Complete>(actions_->emplace_back(Complete{}));
  const std::uint64_t seq = completion.seq;
  if (unkept_.empty()) {
    last->tasks.push_back(std::move(completion));
    return;
  }
  const bool refused =
      completion.outcome != wire::Outcome::ok && completion.outcome != wire::Outcome::cancelled;
  const wire::Payload why = refused ? completion.payload : wire::Payload();
  last->tasks.push_back(std::move(completion));
  mark_kept(seq, refused ? &why : nullptr);
}

}  // namespace weft::client
