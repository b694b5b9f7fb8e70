// SPDX-License-Identifier: MIT
// Outbox: the results of one client session in escrow, numbered consecutively and retained until the broker
// releases them, since the worker has the only copy. Pure; part of worker::WorkerCore.
#pragma once

#include "common/base/vector_queue.hpp"

#include "worker/core/events.hpp"

namespace weft::worker {

class Outbox {
 public:
  struct Entry {
    std::uint64_t epoch = 0;
    wire::ResultRecord record;
    std::uint32_t execution = 1;
  };

  /// `first`: the number of the first result.
  Outbox(const Uuid& session, std::uint64_t first) : session_(session), first_(first) {}

  /// Numbers and retains a result. Sends it at once if `actions` is not null, which means that the worker has
  /// joined.
  void add(Entry&& entry, Actions* actions);
  /// Drops the results up to number `released`.
  void release(std::uint64_t released);
  /// Sends everything that is retained, oldest first.
  void send_all(Actions& actions) const;

  /// Whether the result of this attempt at task `seq` is retained.
  bool holds(std::uint64_t seq, const wire::Attempt& attempt) const;
  bool empty() const { return entries_.empty(); }
  const VectorQueue<Entry>& entries() const { return entries_; }
  /// The number of the oldest entry, or of the next one if the outbox is empty.
  std::uint64_t first() const { return first_; }
  /// The number of the next entry.
  std::uint64_t next() const { return first_ + entries_.size(); }

 private:
  void send(std::size_t index, Actions& actions) const;

  Uuid session_;
  std::uint64_t first_;
  VectorQueue<Entry> entries_;
};

}  // namespace weft::worker
