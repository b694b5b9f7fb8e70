// SPDX-License-Identifier: MIT
// The journal, read when a broker starts and written anew when it has grown. Reading a record twice changes
// nothing, since a row may be written again after the journal was written anew.
#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

void Scheduler::on(const Recovered& event) {
  for (const JournalRecord& record : event.records) std::visit([this](const auto& r) { replay(r); }, record);
  for (const BlobId& id : event.blobs) blob_vault_.found(id);
  std::size_t open = 0;
  std::size_t finished = 0;
  for (const auto& [id, session] : sessions_) {
    if (session->detached.empty()) {  // nothing of it is left
      session->state = SessionState::detached;
      mark_dirty(*session);
    }
    hold_again(*session);
    for (const auto& [seq, entry] : session->detached)
      ++(entry.phase == Detached::Phase::open ? open : finished);
  }
  blob_vault_.collect(*actions_);
  actions_->push_back(journal_queue_.rewrite(journal_rows()));
  log(Log::Level::info,
      fmt::format("the journal has {} detached tasks that are open and {} answers to be fetched", open,
                  finished));
}

/// As if its client had just been lost: it may come back, and workers may claim what they run.
void Scheduler::replay(const SessionRecord& record) {
  if (sessions_.contains(record.id)) return;
  Session& session = add_session(record.id);
  session.name = record.name;
  session.host = record.host;
  session.recorded = true;
  session.state = SessionState::lost;
  session.loss = "this broker was started anew";
  session.grace_ends = adoption_ends_ + patience(session.give_up);
  start_timer(session.grace_ends, TimerKind::client_grace, session.id);
}

void Scheduler::replay(const SpecRecord& record) {
  Session* session = find_session(record.session);
  if (session == nullptr || session->specs.contains(record.spec)) return;
  std::string refusal;
  if (record.minor > settings_.minor) {
    refusal = fmt::format(
        "it was accepted by a broker that speaks protocol {}.{} and asks for what this one, which speaks "
        "{}.{}, would ignore: start a newer broker on this journal",
        wire::kMajor, record.minor, wire::kMajor, settings_.minor);
  }
  define(*session, record.spec, record.content, std::move(refusal));
  Spec& spec = *session->specs.at(record.spec);
  spec.recorded = true;
  spec.minor = record.minor;
}

void Scheduler::replay(const TaskRecord& record) {
  Session* session = find_session(record.session);
  if (session == nullptr || !session->specs.contains(record.spec) || session->detached.contains(record.seq))
    return;
  Task& task = add_task(*session, record.seq, *session->specs.at(record.spec), record.payload);
  Detached& entry = session->detached[record.seq];
  entry.phase = Detached::Phase::open;
  entry.recorded = entry.journaled = true;
  entry.spec = task.spec;
  entry.submitted_ms = record.submitted_ms;
  ++task.spec->open_tasks;
  if (const auto ms = task.spec->content.queue_timeout_ms; ms > 0) {
    const auto waited =
        static_cast<std::uint64_t>(std::max<std::int64_t>(unix_ms(now_) - record.submitted_ms, 0));
    task.due = now_ + milliseconds_of(std::max<std::uint64_t>(ms - std::min(ms, waited), 1));
    start_timer(task.due, TimerKind::queue_timeout, session->id, task.seq);
  }
  await_claim(task);
}

void Scheduler::replay(const ChargeRecord& record) {
  Session* session = find_session(record.session);
  Task* task = session != nullptr ? find_task(*session, record.charge.seq) : nullptr;
  if (task == nullptr) return;
  if (record.charge.retries_used + record.charge.crashes < task->execution()) return;  // read before
  Detached& entry = session->detached.at(task->seq);
  entry.charges.push_back(record.charge);
  entry.charges_saved = entry.charges.size();
  task->retries_used = record.charge.retries_used;
  task->crashes = record.charge.crashes;
}

void Scheduler::replay(const FinalRecord& record) {
  Session* session = find_session(record.session);
  Task* task = session != nullptr ? find_task(*session, record.answer.seq) : nullptr;
  if (task == nullptr) return;
  Detached& entry = session->detached.at(task->seq);
  entry.phase = Detached::Phase::finished;
  entry.answer = record.answer;
  entry.finished_ms = record.finished_ms;
  session->queued_bytes += entry.answer.payload.size();
  queued_bytes_ += entry.answer.payload.size();
  erase(*task);
}

void Scheduler::replay(const GoneRecord& record) {
  Session* session = find_session(record.session);
  if (session == nullptr || !session->detached.contains(record.seq)) return;
  if (Task* task = find_task(*session, record.seq)) erase(*task);
  drop_detached(*session, record.seq);
}

/// Counts what its tasks need of the folder; what is not there is asked of its client, should that come back.
void Scheduler::hold_again(Session& session) {
  for (auto& [number, spec] : session.specs) hold_files(session, *spec);
  for (auto& [seq, entry] : session.detached) {
    if (entry.phase == Detached::Phase::finished) {
      const std::int64_t left_ms = entry.finished_ms + settings_.keep.count() / 1000 - unix_ms(now_);
      start_timer(now_ + std::chrono::milliseconds(std::max<std::int64_t>(left_ms, 0)), TimerKind::keep,
                  session.id, seq);
      if (entry.answer.outcome != wire::Outcome::ok || !entry.answer.payload.is_blob()) continue;
      const wire::BlobRef result = entry.answer.payload.blob();
      if (blob_vault_.has(result.id)) {
        blob_vault_.keep(result.id, result.size, result.holder);
        entry.holds.push_back(result.id);
        continue;
      }
      const std::size_t before = entry.answer.payload.size();
      entry.answer.outcome = wire::Outcome::not_fetched;
      entry.answer.payload = wire::Payload(wire::encode_error(
          {.message = "the bytes of its result are missing from the folder beside the broker's journal"}));
      session.queued_bytes += entry.answer.payload.size() - before;
      queued_bytes_ += entry.answer.payload.size() - before;
    } else if (const wire::Payload& payload = session.tasks.at(seq).payload; payload.is_blob()) {
      const wire::BlobRef argument = payload.blob();
      blob_vault_.keep(argument.id, argument.size, argument.holder);
      entry.holds.push_back(argument.id);
    }
  }
}

/// The journal as it would be if everything had happened in the shortest way.
std::vector<std::string> Scheduler::journal_rows() const {
  constexpr std::size_t kRowBytes = 1 << 20;
  std::vector<std::string> rows(1);
  const auto add = [&rows](const JournalRecord& record) {
    if (rows.back().size() >= kRowBytes) rows.emplace_back();
    append_record(rows.back(), record);
  };
  for (const auto& [id, session] : sessions_) {
    if (!session->recorded) continue;  // a client that lives may have more
    add(SessionRecord{id, session->name, session->host});
    for (const auto& [number, spec] : session->specs) {
      if (spec->recorded) add(SpecRecord{id, number, spec->content, spec->minor});
    }
    for (const auto& [seq, entry] : session->detached) {
      if (entry.phase == Detached::Phase::saving) continue;
      const Task* task = session->tasks.find(seq);
      add(TaskRecord{id, seq, entry.spec->number, entry.submitted_ms,
                     task != nullptr ? task->payload : wire::Payload()});
      for (const wire::DeliveryRecord& charge : entry.charges) add(ChargeRecord{id, charge});
      // One that was cancelled may still be with a worker, who is to stop it.
      const bool finished = entry.phase == Detached::Phase::finished || task == nullptr;
      if (finished) add(FinalRecord{id, entry.finished_ms, entry.answer});
    }
  }
  return rows;
}

}  // namespace weft::broker
