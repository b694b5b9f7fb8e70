// SPDX-License-Identifier: MIT
// TaskTable: the tasks of a worker by attempt. Tasks stay where they are, and their memory is used again: a
// worker that runs a million short tasks a second makes and ends as many. Part of worker::Session.
#pragma once

#include <algorithm>
#include <bit>
#include <deque>
#include <vector>

#include "worker/task.hpp"

namespace weft::worker {

class TaskTable {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  Task* find(const AttemptKey& key) {
    if (empty()) return nullptr;
    for (std::size_t at = home(key);; at = (at + 1) & mask()) {
      if (table_[at] == nullptr || table_[at]->key == key) return table_[at];
    }
  }

  /// A new task. REQUIRES: there is none with this key.
  Task& insert(const AttemptKey& key) {
    if (table_.size() < 2 * (size_ + 1)) grow();
    Task& task = fresh();
    task.key = key;
    put(task);
    ++size_;
    return task;
  }

  /// REQUIRES: it is in the table. It is gone then.
  void erase(Task& task) {
    std::size_t hole = home(task.key);
    while (table_[hole] != &task) hole = (hole + 1) & mask();
    // Those behind it that may not stand behind a hole move up.
    for (std::size_t at = (hole + 1) & mask(); table_[at] != nullptr; at = (at + 1) & mask()) {
      const std::size_t wanted = home(table_[at]->key);
      if (((at - wanted) & mask()) < ((at - hole) & mask())) continue;
      table_[hole] = table_[at];
      hole = at;
    }
    table_[hole] = nullptr;
    task = Task();
    free_.push_back(&task);
    --size_;
  }

  /// Calls f(task) for each, in no order.
  template <class F>
  void for_each(F f) {
    for (Task* task : table_)
      if (task != nullptr) f(*task);
  }
  template <class F>
  void for_each(F f) const {
    for (const Task* task : table_)
      if (task != nullptr) f(*task);
  }

 private:
  std::size_t mask() const { return table_.size() - 1; }
  /// Where it is looked for first. Attempt numbers are neighbours; the multiplication spreads them.
  std::size_t home(const AttemptKey& key) const {
    constexpr std::uint64_t kSpread = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio
    const std::uint64_t mixed =
        (key.attempt.number ^ std::rotl(key.attempt.epoch, 32) ^ (key.id.seq * kSpread)) * kSpread;
    return static_cast<std::size_t>(mixed >> (64 - std::countr_zero(table_.size())));
  }
  void put(Task& task) {
    std::size_t at = home(task.key);
    while (table_[at] != nullptr) at = (at + 1) & mask();
    table_[at] = &task;
  }
  void grow() {
    constexpr std::size_t kFirst = 64;
    std::vector<Task*> old(std::max(kFirst, 2 * table_.size()));
    old.swap(table_);
    for (Task* task : old)
      if (task != nullptr) put(*task);
  }
  Task& fresh() {
    if (free_.empty()) return memory_.emplace_back();
    Task& task = *free_.back();
    free_.pop_back();
    return task;
  }

  std::vector<Task*> table_;  // open addressing; a power of two, at most half full
  std::deque<Task> memory_;
  std::vector<Task*> free_;  // of memory_
  std::size_t size_ = 0;
};

}  // namespace weft::worker
