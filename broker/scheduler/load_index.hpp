// SPDX-License-Identifier: MIT
// LoadIndex: workers that have credit, the most idle first. Filing one under another load, and finding the
// first, take the same time however many there are: a list for each level of load, and a bitmap of the levels
// that have anybody. Workers of one level take turns. Holds the links inside Worker; owns nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace weft::broker {

struct Worker;

/// A worker's place in a LoadIndex.
struct LoadPlace {
  static constexpr std::uint32_t kNowhere = UINT32_MAX;
  std::uint32_t level = kNowhere;
  Worker* previous = nullptr;
  Worker* next = nullptr;
};

/// `place` is the LoadPlace of a Worker: Worker::*.
template <LoadPlace Worker::*place>
class LoadIndex {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  /// Files `worker` under `level`, behind those that are there. One that is there already stays where it is.
  void file(Worker& worker, std::uint32_t level) {
    LoadPlace& at = worker.*place;
    if (at.level == level) return;
    remove(worker);
    if (level >= levels_.size()) {
      levels_.resize(level + 1U);
      occupied_.resize(level / kBits + 1U);
    }
    Level& list = levels_[level];
    at = {level, list.last, nullptr};
    (list.last != nullptr ? (list.last->*place).next : list.first) = &worker;
    list.last = &worker;
    occupied_[level / kBits] |= std::uint64_t{1} << (level % kBits);
    lowest_ = std::min(lowest_, level / kBits);
    ++size_;
  }

  void remove(Worker& worker) {
    LoadPlace& at = worker.*place;
    if (at.level == LoadPlace::kNowhere) return;
    Level& list = levels_[at.level];
    (at.previous != nullptr ? (at.previous->*place).next : list.first) = at.next;
    (at.next != nullptr ? (at.next->*place).previous : list.last) = at.previous;
    if (list.first == nullptr) occupied_[at.level / kBits] &= ~(std::uint64_t{1} << (at.level % kBits));
    at = {};
    --size_;
  }

  /// The most idle one; null: there is none.
  Worker* first() const {
    if (size_ == 0) return nullptr;
    while (occupied_[lowest_] == 0) ++lowest_;
    return first_from(lowest_ * kBits);
  }
  /// The next more loaded one.
  Worker* after(const Worker& worker) const {
    const LoadPlace& at = worker.*place;
    return at.next != nullptr ? at.next : first_from(at.level + 1U);
  }

 private:
  static constexpr std::uint32_t kBits = 64;
  struct Level {
    Worker* first = nullptr;
    Worker* last = nullptr;
  };

  Worker* first_from(std::uint32_t level) const {
    for (std::size_t word = level / kBits; word < occupied_.size(); ++word) {
      std::uint64_t bits = occupied_[word];
      if (word == level / kBits) bits &= ~std::uint64_t{0} << (level % kBits);
      if (bits != 0) return levels_[word * kBits + static_cast<std::size_t>(std::countr_zero(bits))].first;
    }
    return nullptr;
  }

  std::vector<Level> levels_;
  std::vector<std::uint64_t> occupied_;
  mutable std::uint32_t lowest_ = 0;  // word of occupied_: those before it are empty
  std::size_t size_ = 0;
};

}  // namespace weft::broker
