// SPDX-License-Identifier: MIT
// Durable: the entries of detached tasks, which outlive their client. An entry is accepted when the journal
// has it and its blobs are stored, answered when the journal has the answer, and stays until every program
// that holds a Future for it has fetched the answer. Records go to the journal (write-ahead log) through
// JournalQueue. Lifecycle and DetachedTasks decide about the task itself. PROTOCOL.md section 8.
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

  /// nullptr: the task is not detached, or its entry has been dropped.
  static Detached* find(Session& session, std::uint64_t seq);

  // ---- accepted ----

  /// A task has come: fetches the blobs that it needs, and then records it.
  void save(Task& task);
  /// All blobs that the task needs are stored: the journal gets the task.
  void record(Task& task);
  /// The program and the libraries of a spec with detached tasks stay in the blob directory.
  void hold_files(const Session& session, Spec& spec);
  /// After a restart: counts the blobs that the entries of the session use. Missing ones are asked of its
  /// client.
  void hold_again(Session& session);

  // ---- charged, answered ----

  /// A failed attempt is charged: the journal gets the charge, and the watchers of the task are told.
  void take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge);
  /// The journal has a charge.
  void on_charge_saved(const ChargeRecord& record);
  /// The journal gets the answer, which is sent when the write is durable. An entry that is not in the
  /// journal yet is answered at once, and dropped.
  void take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer);
  /// Replaces the answer of the entry, and accounts for its bytes.
  void set_answer(Session& session, Detached& entry, wire::DeliveryRecord answer);
  /// The journal has an answer: it is delivered.
  void on_answer_saved(const FinalRecord& record);

  /// The task waits in session.saving while a large result is fetched. True: the vault has the result
  /// already.
  bool fetch_result(Task& task, Detached& entry, const wire::Payload& result);
  /// The result that was being fetched is lost. Returns the result of another attempt, if there is one.
  std::optional<wire::Payload> drop_result(Session& session, Detached& entry);
  /// A task whose blobs are all stored now, or that waits for a blob that could not be stored.
  struct Settled {
    TaskId task;
    std::string fault;  // "": the last blob that the task waited for is stored
  };
  std::vector<Settled> take_settled();

  /// Delivers the answer under number `seq`: the detached task itself, or a task attached to it.
  void deliver_copy(Session& session, std::uint64_t seq, const Detached& entry);

  // ---- fetched ----

  /// The client of `session` has the answers of these tasks.
  void on_fetched(const Session& session, const wire::Fetched& message);
  /// Drops the answer if it has been fetched, and no present client holds a Future for it or may be about to
  /// attach.
  void drop_when_free(Session& session, std::uint64_t seq);
  /// The retention time (`--keep`) is over: drops the answer, unless attached tasks still wait for it.
  void expire(const TaskId& id);
  /// Removes the entry and releases its blobs. REQUIRES: there is one.
  void drop(Session& session, std::uint64_t seq);

  // ---- the journal ----

  /// The compacted journal: the batches of records that describe all present entries.
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
  std::unordered_map<BlobId, std::vector<TaskId>> waiting_for_;  // tasks that wait for a blob
};

}  // namespace weft::broker
