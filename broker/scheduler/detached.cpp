// SPDX-License-Identifier: MIT
// Detached tasks: what Durable's entries mean for the tasks themselves. PROTOCOL.md section 8.
#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

// ---- accepted ----

/// It goes into the journal before it is queued.
void Scheduler::keep(Task& task) {
  if (!task.spec->refusal.empty()) return lifecycle_.refuse(task, task.spec->refusal);
  if (!settings_.journal) {
    return lifecycle_.refuse(task,
                             "this broker keeps no journal, so that no task can outlive its client: start it "
                             "with weft-broker --journal FILE");
  }
  lifecycle_.await_journal(task);
  tables_.durable.save(task);
}

void Scheduler::refuse_detached(Task& task, const std::string& reason) {
  if (Durable::find(*task.session, task.seq) != nullptr) tables_.durable.drop(*task.session, task.seq);
  lifecycle_.refuse(task, reason);
}

/// The journal has the task.
void Scheduler::accepted(const TaskRecord& record) {
  Session* session = tables_.roster.find_session(record.session);
  Detached* entry = session != nullptr ? Durable::find(*session, record.seq) : nullptr;
  if (entry == nullptr) return;
  entry->journaled = true;
  if (entry->phase != Detached::Phase::saving) return;  // cancelled before it was journaled
  entry->phase = Detached::Phase::open;
  tables_.delivery.tell_journaled(*session, record.seq);
  lifecycle_.queue(session->tasks.at(record.seq));
}

// ---- answered ----

/// A large result of a detached task is fetched before it counts. False: this is not one.
bool Scheduler::take_blob_result(Worker& worker, Task& task, bool current, const wire::ResultRecord& record) {
  Session& session = *task.session;
  Detached* entry = task.spec->content.detach ? Durable::find(session, task.seq) : nullptr;
  if (entry == nullptr || !record.payload.is_blob()) return false;
  const wire::BlobRef ref = record.payload.blob();
  if (task.state == TaskState::saving && entry->phase == Detached::Phase::finishing) {
    const bool again = entry->answer.payload.blob() == ref ||
                       std::any_of(entry->spares.begin(), entry->spares.end(),
                                   [&](const wire::Payload& spare) { return spare.blob() == ref; });
    if (!again) entry->spares.push_back(record.payload);
    return true;
  }
  if (task.state == TaskState::saving) {  // it was never accepted here, and nothing was promised
    tables_.step.send(worker.peer, wire::Drop{ref.holder, ref.id});
    return true;
  }
  if (task.with_worker() && !current) {
    lifecycle_.revoke(task, wire::RevokeMode::cancel);
    lifecycle_.abandon_attempt(task);
  }
  task.answered = true;
  lifecycle_.await_journal(task);
  fetch_result(task, *entry, record.payload);
  return true;
}

void Scheduler::fetch_result(Task& task, Detached& entry, const wire::Payload& result) {
  if (tables_.durable.fetch_result(task, entry, result)) result_kept(task, entry);
}

void Scheduler::result_kept(Task& task, Detached& entry) {
  const wire::BlobRef ref = entry.answer.payload.blob();
  entry.maker = ref.holder;
  const wire::Payload kept(wire::BlobRef{wire::kJournalHolder, ref.id, ref.size});
  lifecycle_.answer(task, wire::Outcome::ok,
                    entry.answer.payload.has_tail() ? kept.with_tail(entry.answer.payload.tail()) : kept);
  lifecycle_.erase(task);
}

/// The result that was being fetched is lost: that of another attempt serves, or it is made again.
void Scheduler::result_lost(Task& task, Detached& entry, const std::string& fault) {
  tables_.step.log(Log::Level::warning, fmt::format("the result of task {} is lost: {}",
                                                    TaskId{task.session->id, task.seq}.text(), fault));
  if (const auto spare = tables_.durable.drop_result(*task.session, entry))
    return fetch_result(task, entry, *spare);
  retries_.start_again(task);
}

/// Blobs that are kept now, or will not be.
void Scheduler::settle_blobs() {
  for (const auto& [id, fault] : tables_.durable.take_settled()) {
    Session* session = tables_.roster.find_session(id.session);
    Detached* entry = session != nullptr ? Durable::find(*session, id.seq) : nullptr;
    if (entry == nullptr) continue;  // refused for another blob
    Task& task = session->tasks.at(id.seq);
    const bool is_result = entry->phase == Detached::Phase::finishing;
    if (!fault.empty()) {
      is_result ? result_lost(task, *entry, fault)
                : refuse_detached(task, "what it needs cannot be kept: " + fault);
    } else {
      is_result ? result_kept(task, *entry) : tables_.durable.record(task);
    }
  }
}

// ---- clients come and go ----

/// A client announces a task again. False: it is not one that the journal has.
bool Scheduler::again_detached(Session& session, const wire::ReannounceRecord& record) {
  Detached* entry = Durable::find(session, record.seq);
  if (entry == nullptr) return false;
  if (entry->journaled) tables_.delivery.tell_journaled(session, record.seq);
  if (entry->phase == Detached::Phase::finished) {
    tables_.durable.deliver_copy(session, record.seq, *entry);
  } else if (Task* task = session.tasks.find(record.seq)) {
    retries_.take_charges_of_client(*entry, *task, record);
  }
  return true;
}

void Scheduler::cancel_watched(Session& session, std::uint64_t seq) {
  const auto found = session.watches.find(seq);
  if (found == session.watches.end()) return;
  Session* owner = tables_.roster.find_session(found->second.session);
  Task* task = owner != nullptr ? owner->tasks.find(found->second.seq) : nullptr;
  if (task != nullptr && Durable::find(*owner, task->seq)->phase == Detached::Phase::open)
    lifecycle_.cancel(*task);
}

/// Its client is gone for good, and what it detached goes on.
void Scheduler::leave_detached(Session& session) {
  session.state = SessionState::detached;
  session.handshake_confirmed = false;
  session.synced = true;
  tables_.adoption.reject_claims_of(session);
  forget_deliveries(session);
  tables_.blobs.remove_holder(session.id);  // what was asked of it is asked of others
  std::vector<std::uint64_t> fetched;       // by other clients, while this one may still have wanted them
  for (const auto& [seq, entry] : session.detached) {
    if (entry.fetched) fetched.push_back(seq);
  }
  for (const std::uint64_t seq : fetched) tables_.durable.drop_when_free(session, seq);
}

/// The next client of this session knows of no delivery, and says again what it waits for.
void Scheduler::forget_deliveries(Session& session) {
  tables_.delivery.restart(session);
  tables_.attachments.stop_watching(session);
  tables_.delivery.flush_releases(session);
}

// ---- the journal ----

void Scheduler::on(const Persisted& event) {
  const std::vector<JournalRecord> records = tables_.journal_queue.on_persisted(tables_.step.now(), event);
  if (!event.fault.empty()) {
    tables_.step.log(
        Log::Level::warning,
        fmt::format("the journal cannot be written, and detached tasks are refused: {}", event.fault));
  }
  for (const JournalRecord& record : records) {
    if (const auto* task = std::get_if<TaskRecord>(&record)) {
      if (event.fault.empty()) {
        accepted(*task);
        continue;
      }
      Session* session = tables_.roster.find_session(task->session);
      Task* lost = session != nullptr ? session->tasks.find(task->seq) : nullptr;
      if (lost != nullptr && lost->state == TaskState::saving)
        refuse_detached(*lost, "the broker's journal cannot take it: " + event.fault);
    } else if (const auto* charge = std::get_if<ChargeRecord>(&record)) {
      tables_.durable.on_charge_saved(*charge);
    } else if (const auto* answer = std::get_if<FinalRecord>(&record)) {
      tables_.durable.on_answer_saved(*answer);
    }
  }
}

void Scheduler::on(const BlobStored& event) {
  tables_.blob_vault.on_stored(tables_.step.now(), event, tables_.step.actions());
}

/// Asks for the blobs that detached tasks need, and takes what has come of them.
void Scheduler::poll_journal() {
  tables_.blob_vault.tick(tables_.step.now(), tables_.step.actions());
  do {
    settle_blobs();
  } while (tables_.blobs.fetch_for_vault());
}

/// What this step has recorded, unless a row is under way: then it goes with the next.
void Scheduler::write_journal() {
  if (tables_.journal_queue.wants_rewrite(tables_.step.now()))
    tables_.step.actions().push_back(tables_.journal_queue.rewrite(tables_.durable.journal_rows()));
  if (auto row = tables_.journal_queue.next_row(tables_.step.now()))
    tables_.step.actions().push_back(std::move(*row));
}

}  // namespace weft::broker
