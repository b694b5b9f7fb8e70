// SPDX-License-Identifier: MIT
// VectorQueue: a queue in contiguous memory, for a million elements per second. (libstdc++'s std::deque
// allocates a node of 512 bytes for every few elements.)
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace weft {

template <class T>
class VectorQueue {
 public:
  bool empty() const { return first_ == items_.size(); }
  std::size_t size() const { return items_.size() - first_; }

  // REQUIRES: not empty; the index is below size().
  T& front() { return items_[first_]; }
  const T& front() const { return items_[first_]; }
  T& back() { return items_.back(); }
  const T& back() const { return items_.back(); }
  const T& operator[](std::size_t index) const { return items_[first_ + index]; }

  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  auto end() const { return items_.end(); }

  /// Invalidates references.
  template <class... Arguments>
  void emplace_back(Arguments&&... arguments) {
    if (items_.size() == items_.capacity() && first_ >= items_.size() / 2) close_gap();
    items_.emplace_back(std::forward<Arguments>(arguments)...);
  }
  void push_back(T&& item) { emplace_back(std::move(item)); }

  // REQUIRES: not empty.
  void pop_front() {
    items_[first_] = T();  // releases what the element owned
    if (++first_ == items_.size()) clear();
  }
  void pop_back() {
    items_.pop_back();
    if (empty()) clear();
  }

  void clear() {
    constexpr std::size_t kKeptBytes = 1 << 20;  // capacity left for the next burst
    items_.clear();
    if (items_.capacity() * sizeof(T) > kKeptBytes) items_.shrink_to_fit();
    first_ = 0;
  }

 private:
  void close_gap() {
    items_.erase(items_.begin(), begin());
    first_ = 0;
  }

  std::vector<T> items_;  // elements before first_ have been popped
  std::size_t first_ = 0;
};

}  // namespace weft
