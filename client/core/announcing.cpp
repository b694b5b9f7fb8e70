// SPDX-License-Identifier: MIT
// ClientCore announces its tasks to the broker: new ones, and after a reconnect those that the broker may not
// have.
#include <fmt/format.h>

#include <algorithm>

#include "client/core/client_core.hpp"
#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::client {

namespace {

// Limits of one message of tasks; the shell packs messages into frames. For larger messages
// the C library would get memory from the kernel, and return it, each time.
constexpr std::size_t kRecordsMax = 1024;
constexpr std::size_t kMessageBytes = 256 << 10;
constexpr std::size_t kRecordBytes = 16;  // approximate size of a record without its payload

}  // namespace

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
  if (!under_way_.empty() && under_way_.front().last_seq <= received.seq) loss_.on_progress();
  while (!under_way_.empty() && under_way_.front().last_seq <= received.seq) {
    under_way_bytes_ -= under_way_.front().bytes;
    under_way_.pop_front();
  }
}

}  // namespace weft::client
