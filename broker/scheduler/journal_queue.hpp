// SPDX-License-Identifier: MIT
// JournalQueue is the write-behind queue in front of the journal (write-ahead log). Records are gathered into
// rows; one row is under way at a time, and the records that come until it is durable share the next row and
// commit (group commit). Pure; a part of Scheduler.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "broker/scheduler/events.hpp"
#include "common/base/time.hpp"

namespace weft::broker {

class JournalQueue {
 public:
  struct Settings {
    std::size_t row_bytes_max = 16 << 20;
    std::size_t rewrite_bytes = 64 << 20;      // of rows since the journal was last rewritten
    Duration retry = std::chrono::seconds(1);  // after a fault
  };

  explicit JournalQueue(const Settings& settings) : settings_(settings) {}

  /// Queues a record for one of the next rows.
  void record(JournalRecord record) { queue_.push_back(std::move(record)); }
  /// The next row, if there are records to write and no write is under way.
  std::optional<Persist> next_row(Time now);
  /// Whether the journal has grown so much that it should be rewritten.
  bool wants_rewrite(Time now) const;
  /// Replaces the journal by `rows` (compaction). REQUIRES: no write is under way.
  RewriteJournal rewrite(std::vector<std::string> rows);
  /// Takes the answer to the write under way. Returns the records that are durable now; after a fault, the
  /// tasks that will not be journaled, while the other records are written again later.
  std::vector<JournalRecord> on_persisted(Time now, const Persisted& event);
  /// Fault of the last write; "": it succeeded.
  const std::string& fault() const { return fault_; }

  std::optional<Time> deadline() const;

  void check_invariants() const;

 private:
  Settings settings_;
  std::deque<JournalRecord> queue_;
  std::size_t under_way_records_ = 0;  // at the front of queue_
  std::size_t under_way_bytes_ = 0;
  std::uint64_t number_ = 0;  // of the last write
  bool under_way_ = false;    // a row or a rewrite
  bool rewriting_ = false;
  std::optional<Time> not_before_;  // after a fault
  std::string fault_;
  std::size_t written_ = 0;     // bytes since the last rewrite
  std::size_t rewrite_at_ = 0;  // value of written_ from which on a rewrite is due; see wants_rewrite()
};

}  // namespace weft::broker
