// SPDX-License-Identifier: MIT
// Coverage: how often each kind of fault, message and outcome occurred over all seeds of a run. A simulation
// that has stopped injecting a fault would pass unnoticed, so each kind has a minimum for a thousand seeds.
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
  /// Prints the kinds that occurred too rarely for `seeds` seeds. True: none did, or there are too few seeds
  /// to say.
  bool sufficient(std::uint64_t seeds) const;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace weft::sim
