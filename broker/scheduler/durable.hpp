// SPDX-License-Identifier: MIT
// Durable: the entries of detached tasks, which outlive their client. A task is accepted when the journal (a
// write-ahead log) has it and the blob directory has its blobs, answered when the journal has the answer, and
// its entry stays until every client that holds a Future for it has fetched the answer, or --keep is over.
// Writes records through JournalQueue. Lifecycle and DetachedTasks decide about the task itself. PROTOCOL.md
// section 8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/scheduler/blob_vault.hpp"
#include "broker/scheduler/delivery.hpp"
#include "broker/scheduler/journal_queue.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/specs.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Durable {
 public:
  Durable(const Settings& settings, Roster& roster, Delivery& delivery, Specs& specs,
          JournalQueue& journal_queue, BlobVault& blob_vault, Step& step)
      : settings_(settings),
        roster_(roster),
        delivery_(delivery),
        specs_(specs),
        journal_queue_(journal_queue),
        blob_vault_(blob_vault),
        step_(step) {}

  /// The entry of a task; nullptr: the task is not detached, or its entry was dropped.
  static Detached* find(Session& session, std::uint64_t seq);

  // ---- accepted ----

  /// A task has come: fetches the blobs that it needs, and then calls record().
  void save(Task& task);
  /// All blobs that the task needs are stored: its record goes to the journal.
  void record(Task& task);
  /// The program and the libraries of a spec with detached tasks stay in the blob directory.
  void hold_files(const Session& session, Spec& spec);
  /// After a restart: counts the blobs that the session's entries use, and starts the timers of --keep.
  /// Missing arguments and programs are fetched from their holders; an answer whose result is missing becomes
  /// a failure.
  void hold_again(Session& session);

  // ---- charged, answered ----

  /// A failed attempt is charged: the charge goes to the journal, and to the clients that watch the task.
  void take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge);
  /// The journal has a charge.
  void on_charge_saved(const ChargeRecord& record);
  /// The answer goes to the journal, and is not sent before it is durable there. If the task was never
  /// recorded, it is answered at once and its entry dropped.
  void take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer);
  /// Replaces the answer of the entry, and accounts for its bytes.
  void set_answer(Session& session, Detached& entry, wire::DeliveryRecord answer);
  /// The journal has an answer: it is delivered.
  void on_answer_saved(const FinalRecord& record);

  /// Fetches a result that is a blob, while the task waits in session.saving. True: it is stored here
  /// already.
  bool fetch_result(Task& task, Detached& entry, const wire::Payload& result);
  /// The result that was being fetched is lost. Returns the result of another attempt, if there is one.
  std::optional<wire::Payload> drop_result(Session& session, Detached& entry);
  /// A task that waited for blobs, and now either has all of them or will not get one.
  struct Settled {
    TaskId task;
    std::string fault;  // "": the last blob that the task waited for is kept
  };
  std::vector<Settled> take_settled();

  /// Delivers the entry's answer as that of task `seq`, which is the detached task or one attached to it.
  void deliver_copy(Session& session, std::uint64_t seq, const Detached& entry);

  // ---- fetched ----

  /// The client of `session` has the answers of these tasks.
  void on_fetched(const Session& session, const wire::Fetched& message);
  /// Drops an answered entry once the answer was fetched or has expired, and no present client holds a Future
  /// for it or may be about to attach to it.
  void drop_when_free(Session& session, std::uint64_t seq);
  /// The retention time (--keep) is over. Clients that watch the task may still fetch its answer.
  void expire(const TaskId& id);
  /// Removes the entry and releases its blobs. REQUIRES: there is one.
  void drop(Session& session, std::uint64_t seq);

  // ---- the journal ----

  /// The rows of a rewritten journal: the fewest records that describe all entries.
  std::vector<std::string> journal_rows() const;

  void check_invariants() const;

 private:
  void await_blob(Detached& entry, const TaskId& id, const BlobId& blob);
  void forget_watchers(Detached& entry);
  void release_blobs(std::vector<BlobId>& blobs);

  const Settings& settings_;
  Roster& roster_;
  Delivery& delivery_;
  Specs& specs_;
  JournalQueue& journal_queue_;
  BlobVault& blob_vault_;
  Step& step_;
  std::unordered_map<BlobId, std::vector<TaskId>> waiting_for_;  // tasks, by the blob that is not stored yet
};

}  // namespace weft::broker
