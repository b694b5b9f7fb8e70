// SPDX-License-Identifier: MIT
// TaskTable: a worker's tasks by attempt. Addresses are stable, and the memory of erased tasks is reused: a
// worker with short tasks creates and erases a million of them a second. Part of worker::WorkerCore.
#pragma once

#include <algorithm>
#include <bit>
#include <deque>
#include <memory>
#include <vector>

#include "worker/core/task.hpp"

namespace weft::worker {

class TaskTable {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  Task* find(const AttemptKey& key) {
    if (empty()) return nullptr;
    const std::uint64_t hash = hash_of(key);
    for (std::size_t at = home(hash);; at = (at + 1) & mask()) {
      const Slot& slot = table_[at];
      if (slot.task == nullptr || (slot.hash == hash && slot.task->key == key)) return slot.task;
    }
  }

  /// Adds a default task. REQUIRES: no task has this key.
  Task& insert(const AttemptKey& key) {
    if (table_.size() < 2 * (size_ + 1)) grow();
    Task& task = fresh();
    task.key = key;
    put({hash_of(key), &task});
    ++size_;
    return task;
  }

  /// Invalidates `task`. REQUIRES: `task` is in the table.
  void erase(Task& task) {
    std::size_t hole = home(hash_of(task.key));
    while (table_[hole].task != &task) hole = (hole + 1) & mask();
    // Backward-shift deletion: entries whose probe sequence crosses the hole move up.
    for (std::size_t at = (hole + 1) & mask(); table_[at].task != nullptr; at = (at + 1) & mask()) {
      if (((at - home(table_[at].hash)) & mask()) < ((at - hole) & mask())) continue;
      table_[hole] = table_[at];
      hole = at;
    }
    table_[hole] = {};
    std::destroy_at(&task);
    std::construct_at(&task);
    free_.push_back(&task);
    --size_;
  }

  /// Calls f(task) for each task, in unspecified order.
  template <class F>
  void for_each(F f) {
    for (const Slot& slot : table_)
      if (slot.task != nullptr) f(*slot.task);
  }
  template <class F>
  void for_each(F f) const {
    for (const Slot& slot : table_)
      if (slot.task != nullptr) f(*static_cast<const Task*>(slot.task));
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    Task* task = nullptr;
  };

  std::size_t mask() const { return table_.size() - 1; }
  /// Four consecutive attempt numbers stay neighbours in the table, in one cache line; the multiplication
  /// spreads these groups of four.
  static std::uint64_t hash_of(const AttemptKey& key) {
    constexpr std::uint64_t kSpread = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio
    const std::uint64_t group = (key.attempt.number >> 2) ^ std::rotl(key.attempt.epoch, 32);
    return (std::rotl(group * kSpread, 32) & ~std::uint64_t{3}) | (key.attempt.number & 3);
  }
  /// The slot at which probing starts.
  std::size_t home(std::uint64_t hash) const { return static_cast<std::size_t>(hash) & mask(); }
  void put(const Slot& slot) {
    std::size_t at = home(slot.hash);
    while (table_[at].task != nullptr) at = (at + 1) & mask();
    table_[at] = slot;
  }
  void grow() {
    constexpr std::size_t kFirst = 64;
    std::vector<Slot> old(std::max(kFirst, 2 * table_.size()));
    old.swap(table_);
    for (const Slot& slot : old)
      if (slot.task != nullptr) put(slot);
  }
  Task& fresh() {
    if (free_.empty()) return memory_.emplace_back();
    Task& task = *free_.back();
    free_.pop_back();
    return task;
  }

  std::vector<Slot> table_;  // open addressing; a power of two, at most half full
  std::deque<Task> memory_;
  std::vector<Task*> free_;  // erased, to be reused; they point into memory_
  std::size_t size_ = 0;
};

}  // namespace weft::worker
