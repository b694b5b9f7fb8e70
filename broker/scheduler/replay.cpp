// SPDX-License-Identifier: MIT
#include "broker/scheduler/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace weft::broker {

void Replay::run(const Recovered& event) {
  for (const JournalRecord& record : event.records) std::visit([this](const auto& r) { apply(r); }, record);
  for (const BlobId& id : event.blobs) tables_.blob_vault.found(id);
  std::size_t open = 0;
  std::size_t finished = 0;
  for (const auto& [id, session] : tables_.roster.sessions()) {
    if (session->detached.empty()) {  // nothing of it is left
      session->state = SessionState::detached;
      tables_.delivery.mark_dirty(*session);
    }
    tables_.durable.hold_again(*session);
    for (const auto& [seq, entry] : session->detached)
      ++(entry.phase == Detached::Phase::open ? open : finished);
  }
  tables_.blob_vault.collect(tables_.step.actions());
  tables_.step.actions().push_back(tables_.journal_queue.rewrite(tables_.durable.journal_rows()));
  tables_.step.notify({.kind = NoticeKind::journal_read, .numbers = {open, finished}});
}

void Replay::apply(const SessionRecord& record) {
  if (!tables_.roster.sessions().contains(record.id)) sessions_.restore(record);
}

void Replay::apply(const SpecRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  if (session == nullptr || session->specs.contains(record.spec)) return;
  std::string refusal;
  if (record.minor > settings_.minor) {
    refusal = fmt::format(
        "it was accepted by a broker that speaks protocol {}.{} and asks for what this one, which speaks "
        "{}.{}, would ignore: start a newer broker on this journal",
        wire::kMajor, record.minor, wire::kMajor, settings_.minor);
  }
  Spec& spec = tables_.specs.define(*session, record.spec, record.content, std::move(refusal));
  spec.recorded = true;
  spec.minor = record.minor;
}

void Replay::apply(const TaskRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  if (session == nullptr || !session->specs.contains(record.spec) || session->detached.contains(record.seq))
    return;
  Task& task = lifecycle_.add(*session, record.seq, *session->specs.at(record.spec), record.payload);
  Detached& entry = session->detached[record.seq];
  entry.phase = Detached::Phase::open;
  entry.recorded = entry.journaled = true;
  entry.spec = task.spec;
  entry.submitted_ms = record.submitted_ms;
  ++task.spec->open_tasks;
  const std::int64_t waited_ms = tables_.step.unix_ms(tables_.step.now()) - record.submitted_ms;
  lifecycle_.start_queue_timeout(task, static_cast<std::uint64_t>(std::max<std::int64_t>(waited_ms, 0)));
  lifecycle_.await_claim(task);
}

void Replay::apply(const ChargeRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  Task* task = session != nullptr ? session->tasks.find(record.charge.seq) : nullptr;
  if (task == nullptr) return;
  if (record.charge.retries_used + record.charge.crashes < task->execution()) return;  // applied before
  Detached& entry = session->detached.at(task->seq);
  entry.charges.push_back(record.charge);
  entry.charges_saved = entry.charges.size();
  task->retries_used = record.charge.retries_used;
  task->crashes = record.charge.crashes;
}

void Replay::apply(const FinalRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  Task* task = session != nullptr ? session->tasks.find(record.answer.seq) : nullptr;
  if (task == nullptr) return;
  Detached& entry = session->detached.at(task->seq);
  entry.phase = Detached::Phase::finished;
  tables_.durable.set_answer(*session, entry, record.answer);
  entry.finished_ms = record.finished_ms;
  lifecycle_.erase(*task);
}

void Replay::apply(const GoneRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  if (session == nullptr || !session->detached.contains(record.seq)) return;
  if (Task* task = session->tasks.find(record.seq)) lifecycle_.erase(*task);
  tables_.durable.drop(*session, record.seq);
}

}  // namespace weft::broker
