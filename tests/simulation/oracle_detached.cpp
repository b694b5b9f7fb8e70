// SPDX-License-Identifier: MIT
// The oracle's checks of detached tasks, and of the tasks that attach to them.
#include <fmt/format.h>

#include <algorithm>

#include "tests/simulation/oracle.hpp"

namespace weft::sim {

void Oracle::kept(const TaskId& id) {
  Task& task = find(id);
  if (task.refused && !may_be_refused(task))
    fail(fmt::format("task {} was refused, and is promised to be kept", id.text()));
  if (!scenario_.journal) fail(fmt::format("task {} is promised to be kept, without a journal", id.text()));
  if (task.cancelled || task.cancelled_by_others) return;
  if (!task.kept) world_.coverage().count("detached: kept");
  task.kept = true;
}

void Oracle::attached(const TaskId& id, const TaskId& named, std::shared_ptr<const wire::TaskSpec> spec,
                      HostId client) {
  submitted(id, std::move(spec), {}, client);
  tasks_.at(id).named = named;
  find(named);
}

void Oracle::taken(const TaskId& id) {
  Task& task = find(id);
  world_.coverage().count("detached: taken");
  (task.named ? find(*task.named) : task).taken = true;
}

/// Whether the broker may have dropped the task's answer by now, since the retention time is over.
bool Oracle::expired(const Task& task) const {
  return world_.now() > task.submitted + scenario_.keep * 98 / 100;
}

std::vector<TaskId> Oracle::kept_tasks(const std::string& label) const {
  std::vector<TaskId> tasks;
  for (const TaskId& id : order_) {
    const Task& task = tasks_.at(id);
    if (task.kept && !task.taken && !expired(task) && task.spec->label == label) tasks.push_back(id);
  }
  return tasks;
}

std::vector<TaskId> Oracle::found(const std::string& label, const std::vector<wire::FoundRecord>& tasks) {
  std::set<TaskId> found;
  for (const wire::FoundRecord& ref : tasks) {
    const TaskId id{ref.session, ref.seq};
    const auto known = tasks_.find(id);
    if (known == tasks_.end() || !known->second.spec->detach || known->second.spec->label != label)
      fail(fmt::format("task {} is found under '{}', where nobody has put it", id.text(), label));
    if (known->second.refused && !may_be_refused(known->second))
      fail(fmt::format("task {} is found, though it was refused", id.text()));
    if (!found.insert(id).second) fail(fmt::format("task {} is found twice", id.text()));
  }
  for (const TaskId& id : kept_tasks(label)) {
    if (!found.contains(id)) fail(fmt::format("task {} was promised to be kept, and is lost", id.text()));
  }
  for (const TaskId& id : found) tasks_.at(id).kept = true;
  return {found.begin(), found.end()};
}

void Oracle::left_on_disk(const std::vector<broker::JournalRecord>& records) const {
  std::set<TaskId> left;
  for (const broker::JournalRecord& record : records) {
    if (const auto* task = std::get_if<broker::TaskRecord>(&record)) left.emplace(task->session, task->seq);
    if (const auto* gone = std::get_if<broker::GoneRecord>(&record)) left.erase({gone->session, gone->seq});
  }
  if (!left.empty())
    fail(fmt::format("{} tasks are left in the journal, {} for one", left.size(), left.begin()->text()));
}

/// Every client that asks for the answer of a journaled task must get the same answer.
void Oracle::check_same_answer(const TaskId& id, Task& task, const wire::DeliveryRecord& record) {
  Task& kept = task.named ? tasks_.at(*task.named) : task;
  if (!kept.spec->detach || record.outcome == wire::Outcome::refused || kept.taken || expired(kept)) return;
  if (!task.named && !kept.kept) return;
  if (!kept.final) {
    kept.final = record;
    return;
  }
  const wire::DeliveryRecord& before = *kept.final;
  if (before.outcome != record.outcome || before.retries_used != record.retries_used ||
      before.crashes != record.crashes || !(before.payload == record.payload)) {
    fail(fmt::format(
        "task {} is answered with outcome {}, and somebody was told outcome {} before, or as much else",
        id.text(), static_cast<int>(record.outcome), static_cast<int>(before.outcome)));
  }
}

void Oracle::check_attached(const TaskId& id, const Task& task, const Task& named,
                            const client::Completion& completion, bool whole) const {
  world_.coverage().count("detached: attached answers");
  if (task.cancelled && completion.outcome != wire::Outcome::cancelled)
    fail(fmt::format("task {} was cancelled, and has another answer", id.text()));
  switch (completion.outcome) {
    case wire::Outcome::refused:
      if (named.taken || expired(named) || may_be_refused(named)) return;
      fail(fmt::format("task {}, which was found, is not there any more for {}", task.named->text(),
                       id.text()));
    case wire::Outcome::cancelled:
      if (named.cancelled || named.cancelled_by_others) return;
      fail(fmt::format("task {} is cancelled, and nobody wanted that", id.text()));
    case wire::Outcome::ok:
      return check_success(*task.named, named, completion, whole);
    default:
      return check_failure(*task.named, named, completion.outcome);
  }
}

}  // namespace weft::sim
