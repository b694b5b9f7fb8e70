// SPDX-License-Identifier: MIT
// The oracle's checks of the answers that clients get.
#include <fmt/format.h>

#include <algorithm>

#include "common/wire/codec.hpp"
#include "tests/simulation/oracle.hpp"

namespace weft::sim {

namespace {

const char* name_of(wire::Outcome outcome) {
  static constexpr const char* kNames[] = {"ok",        "failed",       "crashed",       "timed_out",
                                           "cancelled", "cannot_start", "unschedulable", "not_fetched",
                                           "refused"};
  return kNames[static_cast<std::size_t>(outcome)];
}

}  // namespace

void Oracle::delivered(const Uuid& session, const wire::DeliveryRecord& record) {
  const auto found = tasks_.find(TaskId{session, record.seq});
  if (found == tasks_.end()) fail(fmt::format("an answer to task {} of a client that has none", record.seq));
  Task& task = found->second;
  if (record.kind == wire::DeliveryKind::charged) task.charges.emplace(record.retries_used, record.crashes);
  if (record.kind == wire::DeliveryKind::final) check_same_answer(found->first, task, record);
  const Tally sum = tally(executed(task));
  if (record.retries_used > sum.threw + sum.timed_out) {
    fail(fmt::format("task {} is charged {} retries, and {} executions failed", found->first.text(),
                     record.retries_used, sum.threw + sum.timed_out));
  }
  if (executed(task).spec->crash_limit > 1 && record.crashes > sum.lost) {
    fail(fmt::format("task {} is charged {} crashes, and {} executions can have been lost",
                     found->first.text(), record.crashes, sum.lost));
  }
}

void Oracle::completed(const TaskId& id, const client::Completion& completion, bool whole) {
  Task& task = find(id);
  world_.coverage().count(std::string("outcome: ") + name_of(completion.outcome));
  if (task.answered) fail(fmt::format("task {} is answered twice", id.text()));
  if (task.forgotten) fail(fmt::format("task {} is answered after the end of its client", id.text()));
  if (task.cancelled != (completion.outcome == wire::Outcome::cancelled) && !task.named &&
      !task.cancelled_by_others) {
    fail(fmt::format("task {} was {} and is answered: {}", id.text(),
                     task.cancelled ? "cancelled" : "not cancelled", name_of(completion.outcome)));
  }
  if (completion.attempts > task.charges.size() + 1) {
    fail(fmt::format("task {} has {} attempts by its client's count, which was told of {} charges", id.text(),
                     completion.attempts, task.charges.size()));
  }
  if (task.named) {
    check_attached(id, task, tasks_.at(*task.named), completion, whole);
  } else if (completion.outcome == wire::Outcome::ok) {
    check_success(id, task, completion, whole);
  } else {
    check_failure(id, task, completion.outcome);
    task.refused = completion.outcome == wire::Outcome::refused;
  }
  task.answered = true;
  --open_;
}

void Oracle::check_success(const TaskId& id, const Task& task, const client::Completion& completion,
                           bool whole) const {
  if (tally(task).returned == 0) fail(fmt::format("task {} has a value, and never returned one", id.text()));
  const Uuid holder = completion.payload.is_blob() ? completion.payload.blob().holder : Uuid{};
  if (!(completion.payload == value(id, holder)) || !whole)
    fail(fmt::format("task {} has a wrong value", id.text()));
}

void Oracle::check_failure(const TaskId& id, const Task& task, wire::Outcome outcome) const {
  const Tally sum = tally(task);
  const std::uint32_t failures = sum.threw + sum.timed_out;
  bool explained = true;
  switch (outcome) {
    case wire::Outcome::ok:
    case wire::Outcome::cancelled:
      break;
    case wire::Outcome::unknown:
      explained = false;
      break;
    case wire::Outcome::failed:
      explained = task.spoiled || (sum.threw > 0 && failures > task.spec->retries);
      break;
    case wire::Outcome::timed_out:
      explained = sum.timed_out > 0 && failures > task.spec->retries;
      break;
    case wire::Outcome::crashed:
      explained = sum.lost >= task.spec->crash_limit ||
                  (task.spec->crash_limit <= 1 && (task.spoiled || disk_failed_ > task.submitted));
      if (task.spec->crash_limit <= 1) {  // its first attempt may have been lost before it began
        explained = explained || task.submitted < hosts_.at(task.client).joined_at ||
                    std::any_of(hosts_.begin(), hosts_.end(),
                                [&](const auto& entry) { return !quiet_since(entry.first, task.submitted); });
      }
      break;
    case wire::Outcome::cannot_start:
      explained = std::any_of(scenario_.programs.begin(), scenario_.programs.end(),
                              [&](const Program& program) {
                                return program.file.id == task.spec->program.id && !program.bad_on.empty();
                              }) ||
                  scenario_.late_start_chance > 0;
      break;
    case wire::Outcome::not_fetched:
      explained = scenario_.corrupt_chance > 0 || task.taken;
      break;
    case wire::Outcome::refused:
      explained =
          task.spec->detach && (task.executions.empty() || task.taken || expired(task)) &&
          (!scenario_.journal || disk_failed_ >= task.submitted || !quiet_since(task.client, task.submitted));
      if (may_be_too_new(task)) {
        world_.coverage().count("minors: option is refused");
        explained = true;
      }
      if (may_be_too_large(task)) {
        world_.coverage().count("memory: argument is refused");
        explained = true;
      }
      break;
    case wire::Outcome::unschedulable: {
      const std::uint64_t limit_ms = task.spec->queue_timeout_ms;
      explained = limit_ms > 0 && has_passed(world_.now() - task.submitted, limit_ms);
      break;
    }
  }
  if (!explained) {
    fail(fmt::format(
        "task {} is answered with {}: {} executions, of which {} threw, {} ran over, {} may be lost",
        id.text(), name_of(outcome), task.executions.size(), sum.threw, sum.timed_out, sum.lost));
  }
}

std::string Oracle::describe_open() const {
  std::string text;
  std::size_t shown = 0;
  for (const TaskId& id : order_) {
    const Task& task = tasks_.at(id);
    if (task.answered || task.forgotten || ++shown > 10) continue;
    text += fmt::format("\n  {} ({}, {}): {} executions", id.text(), task.spec->label, task.spec->function,
                        task.executions.size());
    if (task.executions.empty()) continue;
    const Execution& last = executions_[task.executions.back()];
    text += fmt::format(", the last on host {}, end {}", last.worker, static_cast<int>(last.end));
  }
  return text;
}

}  // namespace weft::sim
