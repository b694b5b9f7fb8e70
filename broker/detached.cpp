// SPDX-License-Identifier: MIT
// Tasks that outlive their client. They are accepted when the journal has them and everything they need,
// answered when the journal has the answer, and kept until somebody has fetched it. PROTOCOL.md section 8.
#include <fmt/format.h>

#include <algorithm>

#include "broker/scheduler.hpp"
#include "common/codec.hpp"

namespace weft::broker {

namespace {

constexpr std::size_t kSeqsMax = 50'000;                   // in one KEPT
constexpr std::size_t kSweepsMax = 1000;                   // in FOUND
constexpr Duration kFoundGrace = std::chrono::seconds(5);  // from FOUND until a client has attached

std::vector<wire::FileRef> files_of(const wire::TaskSpec& spec) {
  if (spec.kind != wire::TaskKind::program) return {};
  std::vector<wire::FileRef> files = spec.libraries;
  files.push_back(spec.program);
  return files;
}

}  // namespace

Detached* Scheduler::find_detached(Session& session, std::uint64_t seq) {
  const auto found = session.detached.find(seq);
  return found != session.detached.end() ? &found->second : nullptr;
}

// ---- accepted ----

/// Instead of queueing it.
void Scheduler::keep(Task& task) {
  if (!task.spec->refusal.empty()) return refuse_task(task, task.spec->refusal);
  Session& session = *task.session;
  if (!settings_.journal) {
    return refuse_detached(task,
                           "this broker keeps no journal, so that no task can outlive its client: start it "
                           "with weft-broker --journal FILE");
  }
  Spec& spec = *task.spec;
  const TaskId id{session.id, task.seq};
  Detached& entry = session.detached[task.seq];
  entry.spec = &spec;
  entry.submitted_ms = unix_ms(now_);
  ++spec.open_tasks;
  task.state = TaskState::saving;
  task.since = now_;
  session.saving.push_back(task);

  hold_files(session, spec);
  for (const BlobId& file : spec.holds) await_blob(entry, id, file);
  if (task.payload.is_blob()) {
    const wire::BlobRef argument = task.payload.blob();
    blob_vault_.keep(argument.id, argument.size, argument.holder);
    entry.holds.push_back(argument.id);
    await_blob(entry, id, argument.id);
  }
  if (entry.missing == 0) record_task(task);
}

/// The program and the libraries of a spec with detached tasks.
void Scheduler::hold_files(const Session& session, Spec& spec) {
  if (!spec.holds.empty()) return;
  for (const wire::FileRef& file : files_of(spec.content)) {
    blob_vault_.keep(file.id, file.size, session.id);
    spec.holds.push_back(file.id);
  }
}

void Scheduler::await_blob(Detached& entry, const TaskId& id, const BlobId& blob) {
  if (blob_vault_.has(blob)) return;
  ++entry.missing;
  savers_[blob].push_back(id);
}

void Scheduler::record_task(Task& task) {
  Session& session = *task.session;
  Detached& entry = session.detached.at(task.seq);
  if (!std::exchange(session.recorded, true))
    journal_queue_.record(SessionRecord{session.id, session.name, session.host});
  if (!std::exchange(task.spec->recorded, true))
    journal_queue_.record(SpecRecord{session.id, task.spec->number, task.spec->content, task.spec->minor});
  journal_queue_.record(
      TaskRecord{session.id, task.seq, task.spec->number, entry.submitted_ms, task.payload});
  entry.recorded = true;
}

void Scheduler::refuse_detached(Task& task, const std::string& reason) {
  Session& session = *task.session;
  if (session.detached.contains(task.seq)) drop_detached(session, task.seq);
  refuse_task(task, reason);
}

/// It is in the journal.
void Scheduler::accepted(const TaskRecord& record) {
  Session* session = find_session(record.session);
  Detached* entry = session != nullptr ? find_detached(*session, record.seq) : nullptr;
  if (entry == nullptr) return;
  entry->journaled = true;
  if (entry->phase != Detached::Phase::saving) return;  // cancelled before it was journaled
  entry->phase = Detached::Phase::open;
  session->kept.push_back(record.seq);
  mark_dirty(*session);
  queue(session->tasks.at(record.seq));
}

// ---- charged, answered ----

void Scheduler::take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge) {
  entry.charges.push_back(charge);
  journal_queue_.record(ChargeRecord{session.id, charge});
  for (const TaskId& watcher : entry.watchers) {
    Session* other = find_session(watcher.session);
    if (other == nullptr || !other->watches.contains(watcher.seq)) continue;
    wire::DeliveryRecord copy = charge;
    copy.seq = watcher.seq;
    deliver(*other, std::move(copy));
  }
}

void Scheduler::take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer) {
  Session& session = *task.session;
  if (entry.phase == Detached::Phase::saving && !entry.recorded) {  // nobody was promised anything
    deliver(session, std::move(answer));
    return drop_detached(session, task.seq);
  }
  entry.phase = Detached::Phase::finishing;
  entry.missing = 0;
  entry.finished_ms = unix_ms(now_);
  for (const wire::Payload& spare : std::exchange(entry.spares, {})) {
    const wire::BlobRef ref = spare.blob();
    if (const Worker* worker = find_worker(ref.holder)) send(worker->peer, wire::Drop{ref.holder, ref.id});
  }
  const std::size_t bytes = answer.payload.size();
  session.queued_bytes += bytes - entry.answer.payload.size();
  queued_bytes_ += bytes - entry.answer.payload.size();
  entry.answer = std::move(answer);
  journal_queue_.record(FinalRecord{session.id, entry.finished_ms, entry.answer});
}

/// A large result of a detached task: its bytes are brought here before it counts. False: it is none.
bool Scheduler::take_blob_result(Worker& worker, Task& task, bool current, const wire::ResultRecord& record) {
  Session& session = *task.session;
  Detached* entry = task.spec->content.detach ? find_detached(session, task.seq) : nullptr;
  if (entry == nullptr || !record.payload.is_blob()) return false;
  const wire::BlobRef ref = record.payload.blob();
  if (task.state == TaskState::saving && entry->phase == Detached::Phase::finishing) {
    const bool again = entry->answer.payload.blob() == ref ||
                       std::any_of(entry->spares.begin(), entry->spares.end(),
                                   [&](const wire::Payload& spare) { return spare.blob() == ref; });
    if (!again) entry->spares.push_back(record.payload);
    return true;
  }
  if (task.state == TaskState::saving) {  // it was never accepted here, and nobody is promised anything
    send(worker.peer, wire::Drop{ref.holder, ref.id});
    return true;
  }
  if (task.with_worker()) {
    if (current) {
      detach(task);
    } else {
      revoke(task, wire::RevokeMode::cancel);
      leave_behind(task);
    }
  } else {
    take_out(task);
  }
  task.answered = true;
  task.state = TaskState::saving;
  task.since = now_;
  session.saving.push_back(task);
  fetch_result(task, *entry, record.payload);
  return true;
}

void Scheduler::fetch_result(Task& task, Detached& entry, const wire::Payload& result) {
  const wire::BlobRef ref = result.blob();
  Session& session = *task.session;
  entry.phase = Detached::Phase::finishing;
  entry.answer = wire::DeliveryRecord{
      task.seq, wire::DeliveryKind::final, wire::Outcome::ok, task.retries_used, task.crashes, result};
  session.queued_bytes += entry.answer.payload.size();
  queued_bytes_ += entry.answer.payload.size();
  blob_vault_.keep(ref.id, ref.size, ref.holder);
  entry.holds.push_back(ref.id);
  await_blob(entry, TaskId{session.id, task.seq}, ref.id);
  if (entry.missing == 0) result_kept(session, task.seq, entry);
}

/// The one that was being fetched is lost: another attempt has made one too, or it must be made again.
void Scheduler::result_lost(Task& task, Detached& entry) {
  Session& session = *task.session;
  entry.phase = Detached::Phase::open;
  entry.missing = 0;
  session.queued_bytes -= entry.answer.payload.size();
  queued_bytes_ -= entry.answer.payload.size();
  entry.answer = {};
  blob_vault_.release(entry.holds.back(), *actions_);
  entry.holds.pop_back();
  if (!entry.spares.empty()) {
    const wire::Payload spare = entry.spares.back();
    entry.spares.pop_back();
    return fetch_result(task, entry, spare);
  }
  TaskList::remove(task);
  start_again(task);
}

void Scheduler::result_kept(Session& session, std::uint64_t seq, Detached& entry) {
  const wire::BlobRef ref = entry.answer.payload.blob();
  entry.maker = ref.holder;
  Task& task = session.tasks.at(seq);
  const wire::Payload kept(wire::BlobRef{wire::kJournalHolder, ref.id, ref.size});
  answer(task, wire::Outcome::ok,
         entry.answer.payload.has_tail() ? kept.with_tail(entry.answer.payload.tail()) : kept);
  erase(task);
}

/// Blobs that are kept now, or will not be.
void Scheduler::settle_blobs() {
  for (const BlobVault::Settled& settled : blob_vault_.take_settled()) {
    const auto found = savers_.find(settled.id);
    if (found == savers_.end()) continue;
    const std::vector<TaskId> waiting = std::move(found->second);
    savers_.erase(found);
    for (const TaskId& id : waiting) {
      Session* session = find_session(id.session);
      Detached* entry = session != nullptr ? find_detached(*session, id.seq) : nullptr;
      if (entry == nullptr || entry->missing == 0) continue;  // cancelled meanwhile
      Task& task = session->tasks.at(id.seq);
      const bool result = entry->phase == Detached::Phase::finishing;
      if (settled.fault.empty()) {
        if (--entry->missing > 0) continue;
        result ? result_kept(*session, id.seq, *entry) : record_task(task);
      } else if (result) {
        log(Log::Level::warning, fmt::format("the result of task {} is lost: {}", id.text(), settled.fault));
        result_lost(task, *entry);
      } else {
        refuse_detached(task, "what it needs cannot be kept: " + settled.fault);
      }
    }
  }
}

/// A charge is in the journal.
void Scheduler::charged(const ChargeRecord& record) {
  Session* session = find_session(record.session);
  Detached* entry = session != nullptr ? find_detached(*session, record.charge.seq) : nullptr;
  if (entry == nullptr || entry->charges_saved == entry->charges.size()) return;
  ++entry->charges_saved;
  flush_releases(*session);
}

/// Its answer is in the journal.
void Scheduler::finished(const FinalRecord& record) {
  Session* session = find_session(record.session);
  Detached* entry = session != nullptr ? find_detached(*session, record.answer.seq) : nullptr;
  if (entry == nullptr || entry->phase != Detached::Phase::finishing) return;
  const std::uint64_t seq = record.answer.seq;
  entry->phase = Detached::Phase::finished;
  // Its argument has served; its result is the last of what is held.
  const bool blob = entry->answer.outcome == wire::Outcome::ok && entry->answer.payload.is_blob();
  if (const Worker* worker = blob ? find_worker(entry->maker) : nullptr)
    send(worker->peer, wire::Drop{entry->maker, entry->answer.payload.blob().id});
  std::vector<BlobId> served(entry->holds.begin(), entry->holds.end() - (blob ? 1 : 0));
  entry->holds.erase(entry->holds.begin(), entry->holds.end() - (blob ? 1 : 0));
  release_blobs(served);
  start_timer(now_ + settings_.keep, TimerKind::keep, session->id, seq);
  for (const TaskId& watcher : entry->watchers) {
    Session* other = find_session(watcher.session);
    if (other != nullptr && other->watches.contains(watcher.seq)) hand_over(*other, watcher.seq, *entry);
  }
  forget_watchers(*entry);
  hand_over(*session, seq, *entry);
  flush_releases(*session);
  drop_when_free(*session, seq);
}

/// Delivers the answer as that of task `seq`, which is the task itself or attached to it.
void Scheduler::hand_over(Session& session, std::uint64_t seq, const Detached& entry) {
  wire::DeliveryRecord copy = entry.answer;
  copy.seq = seq;
  deliver(session, std::move(copy));
}

// ---- fetched ----

/// Whether there is a client, or may be again.
bool Scheduler::has_client(const Session& session) {
  return session.state == SessionState::connected || session.away();
}

void Scheduler::on(Session& session, const wire::Fetched& message) {
  for (const wire::TaskRef& task : message.tasks) {
    Session* const owner = find_session(task.session);
    Detached* const entry = owner != nullptr ? find_detached(*owner, task.seq) : nullptr;
    const bool answered = entry != nullptr && (entry->phase == Detached::Phase::finishing ||
                                               entry->phase == Detached::Phase::finished);
    if (!answered) continue;
    entry->fetched = true;
    if (!entry->is_had_by(session.id)) entry->had.push_back(session.id);
    if (entry->phase == Detached::Phase::finished) forget_watchers(*entry);  // else they hear of it first
    drop_when_free(*owner, task.seq);
  }
}

/// Those of sessions whose clients have the answer.
void Scheduler::forget_watchers(Detached& entry) {
  std::erase_if(entry.watchers, [&](const TaskId& watcher) {
    if (!entry.is_had_by(watcher.session)) return false;
    if (Session* session = find_session(watcher.session)) session->watches.erase(watcher.seq);
    return true;
  });
}

/// Its time is over. Those who hold a Future for it have as long as they live.
void Scheduler::expire(const TaskId& id) {
  Detached& entry = find_session(id.session)->detached.at(id.seq);
  entry.fetched = true;
  entry.had.push_back(id.session);
  entry.found_until = {};
  drop_when_free(*find_session(id.session), id.seq);
}

/// An answer that was fetched goes when no client that is there holds a Future for it, nor may be about to:
/// its bytes may still be on their way to that client.
void Scheduler::drop_when_free(Session& session, std::uint64_t seq) {
  const Detached* entry = find_detached(session, seq);
  if (entry == nullptr || entry->phase != Detached::Phase::finished || !entry->fetched) return;
  if (!entry->watchers.empty() || (has_client(session) && !entry->is_had_by(session.id))) return;
  if (now_ < entry->found_until) return start_timer(entry->found_until, TimerKind::found, session.id, seq);
  journal_queue_.record(GoneRecord{session.id, seq});
  drop_detached(session, seq);
}

/// It is gone, or begins anew and says again what it waits for.
void Scheduler::stop_watching(Session& session) {
  for (const auto& [seq, id] : std::exchange(session.watches, {})) {
    Session* const owner = find_session(id.session);
    Detached* const entry = owner != nullptr ? find_detached(*owner, id.seq) : nullptr;
    if (entry == nullptr) continue;
    std::erase(entry->watchers, TaskId{session.id, seq});
    drop_when_free(*owner, id.seq);
  }
}

void Scheduler::drop_detached(Session& session, std::uint64_t seq) {
  const auto found = session.detached.find(seq);
  Detached& entry = found->second;
  release_blobs(entry.holds);
  session.queued_bytes -= entry.answer.payload.size();
  queued_bytes_ -= entry.answer.payload.size();
  Spec& spec = *entry.spec;
  session.detached.erase(found);
  if (--spec.open_tasks == 0 && spec.forgotten) forget_spec(session, spec.number);
  mark_dirty(session);
}

void Scheduler::release_blobs(std::vector<BlobId>& blobs) {
  for (const BlobId& id : blobs) blob_vault_.release(id, *actions_);
  blobs.clear();
}

// ---- clients come, go, and look for them ----

/// A client announces a task again that the journal has. False: it does not.
bool Scheduler::again_detached(Session& session, const wire::ReannounceRecord& record) {
  Detached* entry = find_detached(session, record.seq);
  if (entry == nullptr) return false;
  if (entry->journaled) {
    session.kept.push_back(record.seq);
    mark_dirty(session);
  }
  if (entry->phase == Detached::Phase::finished) {
    hand_over(session, record.seq, *entry);
  } else if (Task* task = find_task(session, record.seq)) {
    if (!take_charges_of_client(session, *entry, *task, record)) return true;
    if (task->adopted && task->claimed < task->execution()) task->counted = true;  // as its client was told
    task->untold = std::max(task->untold, 1 + record.retries_used + record.crashes);
  }
  return true;
}

/// The client was told of charges that the last broker did not live to write down. The journal gets them now:
/// a worker may already have forgotten the failures. False: with them the task has reached its limit, and
/// ends.
bool Scheduler::take_charges_of_client(Session& session, Detached& entry, Task& task,
                                       const wire::ReannounceRecord& record) {
  std::uint32_t retries_used = record.retries_used;
  std::uint32_t crashes = record.crashes;
  // The adopted attempt, which has failed since, came after what the client knows of.
  const bool later = entry.phase == Detached::Phase::open && task.adopted && task.charged &&
                     !task.with_worker() && task.claimed > retries_used + crashes;
  if (later) ++(entry.charges.back().outcome == wire::Outcome::crashed ? crashes : retries_used);
  const bool crashed = crashes > task.crashes;
  if (!crashed && retries_used <= task.retries_used) return true;
  task.retries_used = std::max(task.retries_used, retries_used);
  task.crashes = std::max(task.crashes, crashes);
  const wire::TaskSpec& spec = task.spec->content;
  if (later && (task.crashes >= spec.crash_limit || task.retries_used > spec.retries)) {
    answer(task, entry.charges.back().outcome, entry.charges.back().payload);
    erase(task);
    return false;
  }
  const std::string error = wire::encode_error(
      {.message =
           "its client was told of this failure, by a broker that ended before it had written it down"});
  take_charge(
      session, entry,
      {task.seq, wire::DeliveryKind::charged, crashed ? wire::Outcome::crashed : wire::Outcome::failed,
       task.retries_used, task.crashes, wire::Payload(error)});
  return true;
}

/// An attached task: its answer is that of the task whose id is its payload, and so are its charges, of which
/// the client has the first `charges_known`.
void Scheduler::watch(Session& session, std::uint64_t seq, const wire::Payload& payload,
                      std::uint32_t charges_known) {
  const wire::TaskRef named = payload.is_blob() ? wire::TaskRef{} : wire::decode_ref(payload.inline_bytes());
  const TaskId id{named.session, named.seq};
  Session* owner = find_session(id.session);
  Detached* entry = owner != nullptr ? find_detached(*owner, id.seq) : nullptr;
  if (entry == nullptr || entry->phase == Detached::Phase::saving) {
    wire::ErrorInfo info;
    info.message = fmt::format(
        "there is no detached task {} any more: its answer was fetched, or kept as long as --keep says",
        id.text());
    deliver(session, wire::DeliveryRecord{seq, wire::DeliveryKind::final, wire::Outcome::refused, 0, 0,
                                          wire::Payload(wire::encode_error(info))});
    return;
  }
  for (wire::DeliveryRecord charge : entry->charges) {
    if (charge.retries_used + charge.crashes <= charges_known) continue;
    charge.seq = seq;
    deliver(session, std::move(charge));
  }
  const TaskId watcher{session.id, seq};
  if (entry->phase == Detached::Phase::finished &&
      entry->is_had_by(session.id))  // it found the task before that
    return hand_over(session, seq, *entry);
  if (std::find(entry->watchers.begin(), entry->watchers.end(), watcher) == entry->watchers.end())
    entry->watchers.push_back(watcher);
  session.watches[seq] = id;
  if (entry->phase == Detached::Phase::finished) {
    hand_over(session, seq, *entry);
    return;
  }
  const Task* task = find_task(*owner, id.seq);
  if (task != nullptr && task->state == TaskState::running) send(session.peer, wire::Running{{seq}});
}

void Scheduler::cancel_watched(Session& session, std::uint64_t seq) {
  const auto found = session.watches.find(seq);
  if (found == session.watches.end()) return;
  Session* owner = find_session(found->second.session);
  Task* task = owner != nullptr ? find_task(*owner, found->second.seq) : nullptr;
  if (task != nullptr && find_detached(*owner, task->seq)->phase == Detached::Phase::open) cancel(*task);
}

/// Its client is gone for good, and what it detached goes on.
void Scheduler::leave_detached(Session& session) {
  session.state = SessionState::detached;
  session.met = false;
  session.synced = true;
  settle_orphans(session);
  forget_deliveries(session);
  remove_holder(session.id);           // what was asked of it is asked of others
  std::vector<std::uint64_t> fetched;  // by others, while it may still have wanted them
  for (const auto& [seq, entry] : session.detached) {
    if (entry.fetched) fetched.push_back(seq);
  }
  for (const std::uint64_t seq : fetched) drop_when_free(session, seq);
}

/// Whoever comes as this session knows of none of them, and says again what it waits for.
void Scheduler::forget_deliveries(Session& session) {
  session.deliveries.restart();
  session.releases.restart();
  stop_watching(session);
  session.kept.clear();
  flush_releases(session);
}

void Scheduler::tell_kept(Session& session) {
  for (auto from = session.kept.begin(); from != session.kept.end();) {
    const auto to = from + std::min<std::ptrdiff_t>(session.kept.end() - from, kSeqsMax);
    send(session.peer, wire::Kept{{from, to}});
    from = to;
  }
  session.kept.clear();
}

/// After the broker was suspended: clients that have heard of answers may have attached to them meanwhile.
void Scheduler::renew_found_grace(Session& session) const {
  for (auto& [seq, entry] : session.detached) {
    if (entry.found_until > stepped_) entry.found_until = now_ + kFoundGrace;
  }
}

void Scheduler::answer_find(PeerId peer, const wire::Find& find, std::uint8_t minor) {
  constexpr std::uint8_t kKnowsSweeps = 2;
  wire::Found found{.label = find.label};
  std::vector<std::pair<std::uint64_t, Session*>> sessions;  // in the order of their coming
  for (const auto& [id, session] : sessions_) {
    if (!session->detached.empty()) sessions.emplace_back(session->serial, session.get());
  }
  std::sort(sessions.begin(), sessions.end());
  for (const auto& [serial, session] : sessions) {
    std::map<std::string_view, std::uint32_t> sweeps;  // of this session, by function
    for (auto& [seq, entry] : session->detached) {
      const wire::TaskSpec& spec = entry.spec->content;
      if (entry.phase == Detached::Phase::saving || entry.fetched || spec.label != find.label) continue;
      entry.found_until = now_ + kFoundGrace;
      wire::FoundRecord task{.session = session->id, .seq = seq};
      if (minor >= kKnowsSweeps) {
        task.finished = entry.phase == Detached::Phase::finished;
        const auto [sweep, added] = sweeps.try_emplace(spec.function, 0);
        if (added && found.sweeps.size() < kSweepsMax) {
          found.sweeps.push_back(
              {session->id, session->name, session->host, spec.function.substr(0, 200), entry.submitted_ms});
          sweep->second = static_cast<std::uint32_t>(found.sweeps.size());
        }
        task.sweep = sweep->second;
      }
      found.tasks.push_back(task);
    }
  }
  found.total = found.tasks.size();
  send(peer, std::move(found));
}

// ---- the journal ----

void Scheduler::on(const Persisted& event) {
  const std::vector<JournalRecord> records = journal_queue_.on_persisted(now_, event);
  if (!event.fault.empty()) {
    log(Log::Level::warning,
        fmt::format("the journal cannot be written, and detached tasks are refused: {}", event.fault));
  }
  for (const JournalRecord& record : records) {
    if (const auto* task = std::get_if<TaskRecord>(&record)) {
      if (event.fault.empty()) {
        accepted(*task);
        continue;
      }
      Session* session = find_session(task->session);
      Task* lost = session != nullptr ? find_task(*session, task->seq) : nullptr;
      if (lost != nullptr && lost->state == TaskState::saving)
        refuse_detached(*lost, "the broker's journal cannot take it: " + event.fault);
    } else if (const auto* charge = std::get_if<ChargeRecord>(&record)) {
      charged(*charge);
    } else if (const auto* answer = std::get_if<FinalRecord>(&record)) {
      finished(*answer);
    }
  }
}

void Scheduler::on(const BlobStored& event) { blob_vault_.on_stored(now_, event, *actions_); }

/// Asks for blobs, takes what has come of them.
void Scheduler::tend_vault() {
  blob_vault_.tick(now_, *actions_);
  for (;;) {
    settle_blobs();
    const std::vector<wire::Get> gets = blob_vault_.take_gets(now_, *actions_);
    if (gets.empty()) break;
    for (const wire::Get& get : gets) {
      BlobRelay::Outbox outbox;
      blobs_.get(BlobRelay::kOwnPeer, get, reachable(), outbox);
      pass_on(outbox);
    }
  }
}

/// What this step has recorded, unless a row is under way: then it goes with the next.
void Scheduler::write_journal() {
  if (journal_queue_.wants_rewrite(now_)) actions_->push_back(journal_queue_.rewrite(journal_rows()));
  if (auto row = journal_queue_.next_row(now_)) actions_->push_back(std::move(*row));
}

}  // namespace weft::broker
