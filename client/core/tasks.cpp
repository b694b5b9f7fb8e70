// SPDX-License-Identifier: MIT
// ClientCore and what the program asks for: submit, cancel, take; and the tables of tasks and specs.
#include <fmt/format.h>

#include <algorithm>

#include "client/core/client_core.hpp"
#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::client {

namespace {

constexpr std::size_t kCompletionsMax = 1024;  // of one Complete

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
    durable_.add_detached(seq, {settings_.id, seq});
  } else if (spec.kind == wire::TaskKind::attached) {
    durable_.add_attached(seq, wire::decode_ref(payload.inline_bytes()));
  }
}

void ClientCore::on(const Taken& event) {
  const auto ref = durable_.fetch(event.seq);
  if (ref && joined()) send_fetched({*ref});
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
    if (const auto ref = durable_.fetch(seq)) fetched.push_back(*ref);
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
  for (const DurableTasks::Fetched& entry : durable_.fetched()) {
    if (entry.seq < next_ || tasks_.find(entry.seq) == nullptr) fetched.push_back(entry.ref);
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
  if (last == nullptr || last->tasks.size() >= kCompletionsMax)
    last = &std::get<Complete>(actions_->emplace_back(Complete{}));
  const std::uint64_t seq = completion.seq;
  if (durable_.all_journaled()) {
    last->tasks.push_back(std::move(completion));
    return;
  }
  const bool refused =
      completion.outcome != wire::Outcome::ok && completion.outcome != wire::Outcome::cancelled;
  const wire::Payload why = refused ? completion.payload : wire::Payload();
  last->tasks.push_back(std::move(completion));
  mark_journaled(seq, refused ? &why : nullptr);
}

}  // namespace weft::client
