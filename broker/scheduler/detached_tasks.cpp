// SPDX-License-Identifier: MIT
#include "broker/scheduler/detached_tasks.hpp"

#include <algorithm>
#include <utility>

#include "common/wire/codec.hpp"

namespace weft::broker {

// ---- accepted ----

void DetachedTasks::journal(Task& task) {
  if (!task.spec->refusal.empty()) return lifecycle_.refuse(task, task.spec->refusal);
  if (!settings_.journal) {
    return lifecycle_.refuse(task,
                             "this broker keeps no journal, so that no task can outlive its client: start it "
                             "with weft-broker --journal FILE");
  }
  lifecycle_.await_journal(task);
  tables_.durable.save(task);
}

void DetachedTasks::refuse(Task& task, const std::string& reason) {
  if (Durable::find(*task.session, task.seq) != nullptr) tables_.durable.drop(*task.session, task.seq);
  lifecycle_.refuse(task, reason);
}

/// The journal has the task.
void DetachedTasks::on_journaled(const TaskRecord& record) {
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

bool DetachedTasks::take_blob_result(const Worker& worker, Task& task, bool current,
                                     const wire::ResultRecord& record) {
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
  if (task.state == TaskState::saving) {  // not journaled yet, so nothing was promised to its client
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

void DetachedTasks::fetch_result(Task& task, Detached& entry, const wire::Payload& result) {
  if (tables_.durable.fetch_result(task, entry, result)) on_result_kept(task, entry);
}

void DetachedTasks::on_result_kept(Task& task, Detached& entry) {
  const wire::BlobRef ref = entry.answer.payload.blob();
  entry.maker = ref.holder;
  const wire::Payload kept(wire::BlobRef{wire::kJournalHolder, ref.id, ref.size});
  lifecycle_.answer(task, wire::Outcome::ok,
                    entry.answer.payload.has_tail() ? kept.with_tail(entry.answer.payload.tail()) : kept);
  lifecycle_.erase(task);
}

/// The result that was being fetched is lost: uses the result of another attempt, or executes the task again.
void DetachedTasks::on_result_lost(Task& task, Detached& entry, const std::string& fault) {
  const auto spare = tables_.durable.drop_result(*task.session, entry);
  tables_.step.notify({.kind = NoticeKind::result_lost,
                       .detail = fault,
                       .task = {task.session->id, task.seq},
                       .numbers = {spare ? 0u : 1u}});
  if (spare) return fetch_result(task, entry, *spare);
  retries_.start_again(task);
}

/// Goes on with the tasks whose blobs are stored now, or could not be stored.
void DetachedTasks::take_settled_blobs() {
  for (const auto& [id, fault] : tables_.durable.take_settled()) {
    Session* session = tables_.roster.find_session(id.session);
    Detached* entry = session != nullptr ? Durable::find(*session, id.seq) : nullptr;
    if (entry == nullptr) continue;  // refused for another blob
    Task& task = session->tasks.at(id.seq);
    const bool is_result = entry->phase == Detached::Phase::finishing;
    if (!fault.empty()) {
      is_result ? on_result_lost(task, *entry, fault)
                : refuse(task, "what it needs cannot be kept: " + fault);
    } else {
      is_result ? on_result_kept(task, *entry) : tables_.durable.record(task);
    }
  }
}

// ---- clients come and go ----

bool DetachedTasks::reannounce(Session& session, const wire::ReannounceRecord& record) {
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

void DetachedTasks::cancel_watched(Session& session, std::uint64_t seq) {
  const auto found = session.watches.find(seq);
  if (found == session.watches.end()) return;
  Session* owner = tables_.roster.find_session(found->second.session);
  Task* task = owner != nullptr ? owner->tasks.find(found->second.seq) : nullptr;
  if (task != nullptr && Durable::find(*owner, task->seq)->phase == Detached::Phase::open)
    lifecycle_.cancel(*task);
}

// ---- the journal ----

void DetachedTasks::on(const Persisted& event) {
  const std::vector<JournalRecord> records = tables_.journal_queue.on_persisted(tables_.step.now(), event);
  if (!event.fault.empty()) {
    tables_.step.notify({.kind = NoticeKind::journal_refused, .detail = event.fault});
  }
  for (const JournalRecord& record : records) {
    if (const auto* task = std::get_if<TaskRecord>(&record)) {
      if (event.fault.empty()) {
        on_journaled(*task);
        continue;
      }
      Session* session = tables_.roster.find_session(task->session);
      Task* lost = session != nullptr ? session->tasks.find(task->seq) : nullptr;
      if (lost != nullptr && lost->state == TaskState::saving)
        refuse(*lost, "the broker's journal cannot take it: " + event.fault);
    } else if (const auto* charge = std::get_if<ChargeRecord>(&record)) {
      tables_.durable.on_charge_saved(*charge);
    } else if (const auto* answer = std::get_if<FinalRecord>(&record)) {
      tables_.durable.on_answer_saved(*answer);
    }
  }
}

void DetachedTasks::on(const BlobReady& event) { tables_.blob_vault.on_ready(event, tables_.step.actions()); }

void DetachedTasks::on(const BlobBad& event) {
  tables_.blob_vault.on_bad(tables_.step.now(), event, tables_.step.actions());
}

void DetachedTasks::fetch_blobs() {
  tables_.blob_vault.tick(tables_.step.now(), tables_.step.actions());
  do {
    take_settled_blobs();
  } while (tables_.blobs.fetch_for_vault());
}

void DetachedTasks::write_journal() {
  if (tables_.journal_queue.wants_rewrite(tables_.step.now()))
    tables_.step.actions().push_back(tables_.journal_queue.rewrite(tables_.durable.journal_rows()));
  if (auto row = tables_.journal_queue.next_row(tables_.step.now()))
    tables_.step.actions().push_back(std::move(*row));
}

}  // namespace weft::broker
