// SPDX-License-Identifier: MIT
// DurableTasks: the client's detached and attached tasks as far as they differ from others. Which are not in
// the broker's journal yet, and which answers the broker retains until the program has asked for them.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/wire/messages.hpp"

namespace weft::client {

class DurableTasks {
 public:
  struct Fetched {
    std::uint64_t seq;  // number of the task here
    wire::TaskRef ref;  // its name at the broker: of an attached task, that of the original
  };

  void add_detached(std::uint64_t seq, const wire::TaskRef& ref) {
    unjournaled_.insert(seq);
    retained_[seq] = ref;
  }
  void add_attached(std::uint64_t seq, const wire::TaskRef& ref) { retained_[seq] = ref; }

  /// The journal has the task, or it is answered. False: it was not a detached task, or that was known.
  bool on_journaled(std::uint64_t seq) { return unjournaled_.erase(seq) > 0; }
  bool all_journaled() const { return unjournaled_.empty(); }

  /// The program has the answer, or needs none: the broker need not retain it. nullopt: it does not retain
  /// it.
  std::optional<wire::TaskRef> fetch(std::uint64_t seq) {
    const auto found = retained_.find(seq);
    if (found == retained_.end()) return std::nullopt;
    const wire::TaskRef ref = found->second;
    fetched_.push_back({seq, ref});
    retained_.erase(found);
    return ref;
  }
  /// All that were fetched: FETCHED is repeated on each connection.
  const std::vector<Fetched>& fetched() const { return fetched_; }

 private:
  std::unordered_set<std::uint64_t> unjournaled_;
  std::unordered_map<std::uint64_t, wire::TaskRef> retained_;  // by task number
  std::vector<Fetched> fetched_;
};

}  // namespace weft::client
