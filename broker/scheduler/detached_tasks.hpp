// SPDX-License-Identifier: MIT
// DetachedTasks: tasks that outlive their client, from their arrival until the journal has their answer. A
// detached task is queued when the journal has it, and a result that is a blob is fetched into the vault
// before it counts. The entries are in Durable, the tasks in Lifecycle. PROTOCOL.md section 8.
//
//   SUBMIT -> journal() -> blobs are fetched -> Persist -> Persisted -> JOURNALED, queued -> ... -> RESULTS
//          -> take_blob_result() -> the blob is fetched -> answer -> Persist -> Persisted -> DELIVER
#pragma once

#include <cstdint>
#include <string>

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/retries.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class DetachedTasks {
 public:
  DetachedTasks(const Settings& settings, Tables& tables, Lifecycle& lifecycle, Retries& retries)
      : settings_(settings), tables_(tables), lifecycle_(lifecycle), retries_(retries) {}

  // ---- messages of clients and workers ----

  /// A detached task has arrived: the journal gets it before it is queued. Refused without a journal.
  void journal(Task& task);
  /// The client announces a task again. False: the journal does not have it.
  bool reannounce(Session& session, const wire::ReannounceRecord& record);
  /// The client cancels task `seq`: if it is attached to a detached task, the detached task is cancelled.
  void cancel_watched(Session& session, std::uint64_t seq);
  /// A result of a detached task that is a blob is fetched before it counts. False: it is not such a result.
  bool take_blob_result(const Worker& worker, Task& task, bool current, const wire::ResultRecord& record);

  // ---- answers of the journal and the blob directory ----

  /// A batch of records is durable, or cannot be written.
  void on(const Persisted& event);
  /// The vault has a blob, or its hash or the disk is at fault.
  void on(const BlobReady& event);
  void on(const BlobBad& event);

  // ---- in each step ----

  /// Asks for the blobs that detached tasks need, and goes on with the tasks whose blobs have arrived or
  /// failed.
  void fetch_blobs();
  /// Hands the records of this step to the journal. While a write is under way they wait for the next one
  /// (group commit).
  void write_journal();

 private:
  void refuse(Task& task, const std::string& reason);
  void on_journaled(const TaskRecord& record);
  void fetch_result(Task& task, Detached& entry, const wire::Payload& result);
  void on_result_kept(Task& task, Detached& entry);
  void on_result_lost(Task& task, Detached& entry, const std::string& fault);
  void take_settled_blobs();

  const Settings& settings_;
  Tables& tables_;
  Lifecycle& lifecycle_;
  Retries& retries_;
};

}  // namespace weft::broker
