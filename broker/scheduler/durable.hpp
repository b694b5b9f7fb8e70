// SPDX-License-Identifier: MIT
// Durable: the entries of detached tasks, which outlive their client. An entry is accepted when the journal
// has it and everything it needs, answered when the journal has the answer, and kept until every program that
// holds a Future for it has fetched the answer. Writes records to the journal through JournalQueue. What
// becomes of the task itself is decided in Lifecycle and DetachedTasks. PROTOCOL.md section 8.
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

  /// nullptr: the task is not detached, or was fetched.
  static Detached* find(Session& session, std::uint64_t seq);

  // ---- accepted ----

  /// A task has come: fetches what it needs, and then records it.
  void save(Task& task);
  /// Everything that the task needs is kept: the journal gets it.
  void record(Task& task);
  /// The program and the libraries of a spec with detached tasks stay in the blob directory.
  void hold_files(const Session& session, Spec& spec);
  /// After a restart: counts what the entries of the session hold. What is missing is asked of its client.
  void hold_again(Session& session);

  // ---- charged, answered ----

  /// A failed attempt is charged: the journal gets it, and those who watch the task hear of it.
  void take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge);
  /// The journal has a charge.
  void on_charge_saved(const ChargeRecord& record);
  /// The journal gets the answer; nothing is sent before it has it. An entry that nothing was promised about
  /// is answered at once, and dropped.
  void take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer);
  /// Replaces the answer of the entry, and accounts for its bytes.
  void set_answer(Session& session, Detached& entry, wire::DeliveryRecord answer);
  /// The journal has an answer: it is delivered.
  void on_answer_saved(const FinalRecord& record);

  /// The task waits in session.saving while a large result is fetched. True: it is kept here already.
  bool fetch_result(Task& task, Detached& entry, const wire::Payload& result);
  /// The result that was being fetched is lost. Returns that of another attempt, if there is one.
  std::optional<wire::Payload> drop_result(Session& session, Detached& entry);
  /// Blobs that are kept now, or will not be, with the tasks that wait for them.
  struct Settled {
    TaskId task;
    std::string fault;  // "": the last blob that the task waited for is kept
  };
  std::vector<Settled> take_settled();

  /// Delivers the answer as that of task `seq`, which is the task itself or attached to it.
  void deliver_copy(Session& session, std::uint64_t seq, const Detached& entry);

  // ---- fetched ----

  /// The client of `session` has the answers of these tasks.
  void on_fetched(const Session& session, const wire::Fetched& message);
  /// An answer goes when it was fetched and no client that is there holds a Future for it, nor may be about
  /// to.
  void drop_when_free(Session& session, std::uint64_t seq);
  /// `--keep` is over: those that hold a Future for the task may still fetch its answer.
  void expire(const TaskId& id);
  void drop(Session& session, std::uint64_t seq);

  // ---- the journal ----

  /// The shortest journal that says what the entries are.
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
  std::unordered_map<BlobId, std::vector<TaskId>> waiting_for_;  // a blob to be kept
};

}  // namespace weft::broker
