// SPDX-License-Identifier: MIT
#include "broker/scheduler/durable.hpp"

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

namespace {

std::vector<wire::FileRef> files_of(const wire::TaskSpec& spec) {
  if (spec.kind != wire::TaskKind::program) return {};
  std::vector<wire::FileRef> files = spec.libraries;
  files.push_back(spec.program);
  return files;
}

/// Whether the session has a client, or a client that may come back.
bool has_client(const Session& session) { return session.state == SessionState::connected || session.away(); }

}  // namespace

Detached* Durable::find(Session& session, std::uint64_t seq) {
  const auto found = session.detached.find(seq);
  return found != session.detached.end() ? &found->second : nullptr;
}

// ---- accepted ----

void Durable::save(Task& task) {
  Session& session = *task.session;
  Spec& spec = *task.spec;
  const TaskId id{session.id, task.seq};
  Detached& entry = session.detached[task.seq];
  entry.spec = &spec;
  entry.submitted_ms = step_.unix_ms(step_.now());
  ++spec.open_tasks;

  hold_files(session, spec);
  for (const BlobId& file : spec.holds) await_blob(entry, id, file);
  if (task.payload.is_blob()) {
    const wire::BlobRef argument = task.payload.blob();
    blob_vault_.retain(argument.id, argument.size, argument.holder);
    entry.holds.push_back(argument.id);
    await_blob(entry, id, argument.id);
  }
  if (entry.missing == 0) record(task);
}

void Durable::hold_files(const Session& session, Spec& spec) {
  if (!spec.holds.empty()) return;
  for (const wire::FileRef& file : files_of(spec.content)) {
    blob_vault_.retain(file.id, file.size, session.id);
    spec.holds.push_back(file.id);
  }
}

void Durable::await_blob(Detached& entry, const TaskId& id, const BlobId& blob) {
  if (blob_vault_.has(blob)) return;
  ++entry.missing;
  waiting_for_[blob].push_back(id);
}

void Durable::record(Task& task) {
  Session& session = *task.session;
  Detached& entry = session.detached.at(task.seq);
  if (!std::exchange(session.recorded, true))
    journal_queue_.record(SessionRecord{session.id, session.name, session.host, session.owner});
  if (!std::exchange(task.spec->recorded, true))
    journal_queue_.record(SpecRecord{session.id, task.spec->number, task.spec->content, task.spec->minor});
  journal_queue_.record(
      TaskRecord{session.id, task.seq, task.spec->number, entry.submitted_ms, task.payload});
  entry.recorded = true;
}

void Durable::hold_again(Session& session) {
  for (auto& [number, spec] : session.specs) hold_files(session, *spec);
  for (auto& [seq, entry] : session.detached) {
    if (entry.phase == Detached::Phase::finished) {
      const std::int64_t left_ms =
          entry.finished_ms + settings_.result_ttl.count() / 1000 - step_.unix_ms(step_.now());
      step_.start_timer(step_.now() + std::chrono::milliseconds(std::max<std::int64_t>(left_ms, 0)),
                        TimerKind::result_expiry, session.id, seq);
      if (entry.answer.outcome != wire::Outcome::ok || !entry.answer.payload.is_blob()) continue;
      const wire::BlobRef result = entry.answer.payload.blob();
      if (blob_vault_.has(result.id)) {
        blob_vault_.retain(result.id, result.size, result.holder);
        entry.holds.push_back(result.id);
        continue;
      }
      wire::DeliveryRecord lost = entry.answer;
      lost.outcome = wire::Outcome::not_fetched;
      lost.payload = wire::Payload(wire::encode_error(
          {.message = "the bytes of its result are missing from the folder beside the broker's journal"}));
      set_answer(session, entry, std::move(lost));
    } else if (const wire::Payload& payload = session.tasks.at(seq).payload; payload.is_blob()) {
      const wire::BlobRef argument = payload.blob();
      blob_vault_.retain(argument.id, argument.size, argument.holder);
      entry.holds.push_back(argument.id);
    }
  }
}

// ---- charged, answered ----

void Durable::take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge) {
  entry.charges.push_back(charge);
  journal_queue_.record(ChargeRecord{session.id, charge});
  for (const TaskId& watcher : entry.watchers) {
    Session* other = roster_.find_session(watcher.session);
    if (other == nullptr || !other->watches.contains(watcher.seq)) continue;
    wire::DeliveryRecord copy = charge;
    copy.seq = watcher.seq;
    delivery_.deliver(*other, std::move(copy));
  }
}

void Durable::on_charge_saved(const ChargeRecord& record) {
  Session* session = roster_.find_session(record.session);
  Detached* entry = session != nullptr ? find(*session, record.charge.seq) : nullptr;
  if (entry == nullptr || entry->charges_saved == entry->charges.size()) return;
  ++entry->charges_saved;
  delivery_.flush_releases(*session);
}

void Durable::set_answer(Session& session, Detached& entry, wire::DeliveryRecord answer) {
  roster_.change_bytes(session, entry.answer.payload.size(), answer.payload.size());
  entry.answer = std::move(answer);
}

void Durable::take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer) {
  Session& session = *task.session;
  if (entry.phase == Detached::Phase::saving && !entry.recorded) {
    delivery_.deliver(session, std::move(answer));
    return drop(session, task.seq);
  }
  entry.phase = Detached::Phase::finishing;
  entry.missing = 0;
  entry.finished_ms = step_.unix_ms(step_.now());
  for (const wire::Payload& spare : std::exchange(entry.spares, {})) {
    const wire::BlobRef ref = spare.blob();
    if (const Worker* worker = roster_.find_worker(ref.holder))
      step_.send(worker->peer, wire::Drop{ref.holder, ref.id});
  }
  set_answer(session, entry, std::move(answer));
  journal_queue_.record(FinalRecord{session.id, entry.finished_ms, entry.answer});
}

void Durable::on_answer_saved(const FinalRecord& record) {
  Session* session = roster_.find_session(record.session);
  Detached* entry = session != nullptr ? find(*session, record.answer.seq) : nullptr;
  if (entry == nullptr || entry->phase != Detached::Phase::finishing) return;
  const std::uint64_t seq = record.answer.seq;
  entry->phase = Detached::Phase::finished;
  // The argument is no longer needed; the result is the last blob in `holds`.
  const bool blob = entry->answer.outcome == wire::Outcome::ok && entry->answer.payload.is_blob();
  if (const Worker* worker = blob ? roster_.find_worker(entry->maker) : nullptr)
    step_.send(worker->peer, wire::Drop{entry->maker, entry->answer.payload.blob().id});
  std::vector<BlobId> served(entry->holds.begin(), entry->holds.end() - (blob ? 1 : 0));
  entry->holds.erase(entry->holds.begin(), entry->holds.end() - (blob ? 1 : 0));
  release_blobs(served);
  step_.start_timer(step_.now() + settings_.result_ttl, TimerKind::result_expiry, session->id, seq);
  for (const TaskId& watcher : entry->watchers) {
    Session* other = roster_.find_session(watcher.session);
    if (other != nullptr && other->watches.contains(watcher.seq)) deliver_copy(*other, watcher.seq, *entry);
  }
  forget_watchers(*entry);
  deliver_copy(*session, seq, *entry);
  delivery_.flush_releases(*session);
  drop_when_free(*session, seq);
}

bool Durable::fetch_result(Task& task, Detached& entry, const wire::Payload& result) {
  const wire::BlobRef ref = result.blob();
  Session& session = *task.session;
  entry.phase = Detached::Phase::finishing;
  set_answer(
      session, entry,
      {task.seq, wire::DeliveryKind::final, wire::Outcome::ok, task.retries_used, task.crashes, result});
  blob_vault_.retain(ref.id, ref.size, ref.holder);
  entry.holds.push_back(ref.id);
  await_blob(entry, TaskId{session.id, task.seq}, ref.id);
  return entry.missing == 0;
}

std::optional<wire::Payload> Durable::drop_result(Session& session, Detached& entry) {
  entry.phase = Detached::Phase::open;
  entry.missing = 0;
  set_answer(session, entry, {});
  blob_vault_.release(entry.holds.back(), step_.actions());
  entry.holds.pop_back();
  if (entry.spares.empty()) return std::nullopt;
  const wire::Payload spare = entry.spares.back();
  entry.spares.pop_back();
  return spare;
}

std::vector<Durable::Settled> Durable::take_settled() {
  std::vector<Settled> settled;
  for (const BlobVault::Settled& blob : blob_vault_.take_settled()) {
    const auto found = waiting_for_.find(blob.id);
    if (found == waiting_for_.end()) continue;
    const std::vector<TaskId> waiting = std::move(found->second);
    waiting_for_.erase(found);
    for (const TaskId& id : waiting) {
      Session* session = roster_.find_session(id.session);
      Detached* entry = session != nullptr ? find(*session, id.seq) : nullptr;
      if (entry == nullptr || entry->missing == 0) continue;  // it was cancelled
      if (blob.fault.empty() && --entry->missing > 0) continue;
      settled.push_back({id, blob.fault});
    }
  }
  return settled;
}

void Durable::deliver_copy(Session& session, std::uint64_t seq, const Detached& entry) {
  wire::DeliveryRecord copy = entry.answer;
  copy.seq = seq;
  delivery_.deliver(session, std::move(copy));
}

// ---- fetched ----

void Durable::on_fetched(const Session& session, const wire::Fetched& message) {
  for (const wire::TaskRef& task : message.tasks) {
    Session* const owner = roster_.find_session(task.session);
    Detached* const entry = owner != nullptr ? find(*owner, task.seq) : nullptr;
    const bool answered = entry != nullptr && (entry->phase == Detached::Phase::finishing ||
                                               entry->phase == Detached::Phase::finished);
    if (!answered) continue;
    entry->fetched = true;
    if (!entry->is_had_by(session.id)) entry->had.push_back(session.id);
    // Until the journal has the answer, the watchers have not been told.
    if (entry->phase == Detached::Phase::finished) forget_watchers(*entry);
    drop_when_free(*owner, task.seq);
  }
}

/// Removes the watchers of sessions whose clients have the answer.
void Durable::forget_watchers(Detached& entry) {
  std::erase_if(entry.watchers, [&](const TaskId& watcher) {
    if (!entry.is_had_by(watcher.session)) return false;
    if (Session* session = roster_.find_session(watcher.session)) session->watches.erase(watcher.seq);
    return true;
  });
}

void Durable::expire(const TaskId& id) {
  Session& session = *roster_.find_session(id.session);
  Detached& entry = session.detached.at(id.seq);
  entry.fetched = true;
  entry.had.push_back(id.session);
  entry.found_until = {};
  drop_when_free(session, id.seq);
}

void Durable::drop_when_free(Session& session, std::uint64_t seq) {
  const Detached* entry = find(session, seq);
  if (entry == nullptr || entry->phase != Detached::Phase::finished || !entry->fetched) return;
  if (!entry->watchers.empty() || (has_client(session) && !entry->is_had_by(session.id))) return;
  if (step_.now() < entry->found_until)
    return step_.start_timer(entry->found_until, TimerKind::found, session.id, seq);
  journal_queue_.record(GoneRecord{session.id, seq});
  drop(session, seq);
}

void Durable::drop(Session& session, std::uint64_t seq) {
  const auto found = session.detached.find(seq);
  Detached& entry = found->second;
  release_blobs(entry.holds);
  roster_.change_bytes(session, entry.answer.payload.size(), 0);
  Spec& spec = *entry.spec;
  session.detached.erase(found);
  specs_.release(session, spec);
  delivery_.mark_dirty(session);
}

void Durable::release_blobs(std::vector<BlobId>& blobs) {
  for (const BlobId& id : blobs) blob_vault_.release(id, step_.actions());
  blobs.clear();
}

// ---- the journal ----

std::vector<std::string> Durable::journal_rows() const {
  constexpr std::size_t kRowBytes = 1 << 20;
  std::vector<std::string> rows(1);
  const auto add = [&rows](const JournalRecord& record) {
    if (rows.back().size() >= kRowBytes) rows.emplace_back();
    append_record(rows.back(), record);
  };
  for (const auto& [id, session] : roster_.sessions()) {
    if (!session->recorded) continue;
    add(SessionRecord{id, session->name, session->host, session->owner});
    for (const auto& [number, spec] : session->specs) {
      if (spec->recorded) add(SpecRecord{id, number, spec->content, spec->minor});
    }
    for (const auto& [seq, entry] : session->detached) {
      if (entry.phase == Detached::Phase::saving) continue;
      const Task* task = session->tasks.find(seq);
      add(TaskRecord{id, seq, entry.spec->number, entry.submitted_ms,
                     task != nullptr ? task->payload : wire::Payload()});
      for (const wire::DeliveryRecord& charge : entry.charges) add(ChargeRecord{id, charge});
      // A task that was cancelled is answered, though its worker may not have stopped it yet.
      const bool finished = entry.phase == Detached::Phase::finished || task == nullptr;
      if (finished) add(FinalRecord{id, entry.finished_ms, entry.answer});
    }
  }
  return rows;
}

void Durable::check_invariants() const {
  for (const auto& [id, session] : roster_.sessions()) {
    for (const auto& [seq, entry] : session->detached) {
      const bool open = entry.phase == Detached::Phase::saving || entry.phase == Detached::Phase::open;
      WEFT_CHECK(!open || session->tasks.contains(seq));
      WEFT_CHECK(entry.phase == Detached::Phase::saving || entry.recorded);
      const bool accepted = entry.phase == Detached::Phase::open || entry.phase == Detached::Phase::finished;
      WEFT_CHECK(entry.journaled ? entry.recorded : !accepted);
    }
  }
}

}  // namespace weft::broker
