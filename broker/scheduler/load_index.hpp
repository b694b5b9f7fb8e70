// SPDX-License-Identifier: MIT
// LoadIndex: workers that have credit, the most idle first. Moving a worker to another level and finding the
// first worker take constant time in the number of workers: there is a list for each level of load, and a
// bitmap of the levels that have workers. Workers of one level take turns. The links are inside Worker; the
// index owns no workers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "common/base/intrusive_list.hpp"

namespace weft::broker {

struct Worker;

/// A worker's place in a LoadIndex.
struct LoadPlace {
  static constexpr std::uint32_t kNowhere = UINT32_MAX;
  std::uint32_t level = kNowhere;
  ListLinks<Worker> links;
};

/// `place` is the LoadPlace of a Worker: Worker::*.
template <LoadPlace Worker::*place>
class LoadIndex {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  /// Files `worker` under `level`, behind the others there. A worker with that level already keeps its place.
  void file(Worker& worker, std::uint32_t level) {
    LoadPlace& at = worker.*place;
    if (at.level == level) return;
    remove(worker);
    if (level >= levels_.size()) {
      levels_.resize(level + 1U);
      occupied_.resize(level / kBits + 1U);
    }
    levels_[level].push_back(worker);
    at.level = level;
    occupied_[level / kBits] |= std::uint64_t{1} << (level % kBits);
    lowest_ = std::min(lowest_, level / kBits);
    ++size_;
  }

  void remove(Worker& worker) {
    LoadPlace& at = worker.*place;
    if (at.level == LoadPlace::kNowhere) return;
    levels_[at.level].remove(worker);
    if (levels_[at.level].empty()) occupied_[at.level / kBits] &= ~(std::uint64_t{1} << (at.level % kBits));
    at.level = LoadPlace::kNowhere;
    --size_;
  }

  /// The most idle worker; nullptr: the index is empty.
  Worker* first() const {
    if (size_ == 0) return nullptr;
    while (occupied_[lowest_] == 0) ++lowest_;
    return first_from(lowest_ * kBits);
  }
  /// The next worker in order of load; nullptr: `worker` is the last.
  Worker* after(const Worker& worker) const {
    Worker* next = Level::after(worker);
    return next != nullptr ? next : first_from((worker.*place).level + 1U);
  }

 private:
  static constexpr std::uint32_t kBits = 64;
  struct LinksOf {
    constexpr auto& operator()(auto& worker) const { return (worker.*place).links; }
  };
  using Level = IntrusiveList<Worker, LinksOf{}>;

  Worker* first_from(std::uint32_t level) const {
    for (std::size_t word = level / kBits; word < occupied_.size(); ++word) {
      std::uint64_t bits = occupied_[word];
      if (word == level / kBits) bits &= ~std::uint64_t{0} << (level % kBits);
      if (bits != 0) return levels_[word * kBits + static_cast<std::size_t>(std::countr_zero(bits))].front();
    }
    return nullptr;
  }

  std::vector<Level> levels_;
  std::vector<std::uint64_t> occupied_;
  mutable std::uint32_t lowest_ = 0;  // index into occupied_: all words before it are 0
  std::size_t size_ = 0;
};

}  // namespace weft::broker
