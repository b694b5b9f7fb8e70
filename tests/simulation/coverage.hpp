// SPDX-License-Identifier: MIT
// Coverage: how often each kind of fault, message and outcome occurred over all seeds of a run. A
// simulation that never does what it claims to test finds nothing, so a thousand seeds have minimums.
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
  /// Prints what occurred too rarely for `seeds` seeds. True: nothing did.
  bool sufficient(std::uint64_t seeds) const;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace weft::sim
