// SPDX-License-Identifier: MIT
// DetachedTasks: tasks that outlive their client, from their arrival until the journal has their answer.
// Durable, which this class drives, has their entries; Lifecycle the tasks. A detached task is queued when
// the journal has it, and a result that is a blob is fetched into the vault before it counts. PROTOCOL.md
// section 8.
//
//   SUBMIT -> journal() -> blobs are fetched -> Persist -> Persisted -> KEPT, queued -> ... -> RESULTS
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

  // ---- what clients and workers say ----

  /// A detached task has arrived: it goes into the journal before it is queued. Refused without a journal.
  void journal(Task& task);
  /// The client announces a task again. False: it is not one that the journal has.
  bool reannounce(Session& session, const wire::ReannounceRecord& record);
  /// The client cancels task `seq`: if that is attached to a detached one, the detached one is cancelled.
  void cancel_watched(Session& session, std::uint64_t seq);
  /// A large result of a detached task is fetched before it counts. False: this is not one.
  bool take_blob_result(const Worker& worker, Task& task, bool current, const wire::ResultRecord& record);

  // ---- what the disk says ----

  /// The journal has a row, or cannot be written.
  void on(const Persisted& event);
  /// The vault has a blob, or its hash or the disk is at fault.
  void on(const BlobReady& event);
  void on(const BlobBad& event);

  // ---- in each step ----

  /// Asks for the blobs that detached tasks need, and takes what has come of them.
  void fetch_blobs();
  /// Hands what this step has recorded to the journal, unless a row is under way: then it goes with the next.
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
