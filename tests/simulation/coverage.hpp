// SPDX-License-Identifier: MIT
// Coverage: how often each kind of fault, message and outcome has occurred in all seeds of a run. A
// simulation that never does what it claims to test finds nothing, so each count has a minimum for a thousand
// seeds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace weft::sim {

class Coverage {
 public:
  void count(std::string_view what, std::uint64_t times = 1) {
    const auto found = counts_.find(what);
    if (found != counts_.end()) {
      found->second += times;
    } else {
      counts_.emplace(what, times);
    }
  }
  void print() const;
  /// Prints what has occurred too rarely in `seeds` seeds. Returns true if nothing has.
  bool sufficient(std::uint64_t seeds) const;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace weft::sim
