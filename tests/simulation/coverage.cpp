// SPDX-License-Identifier: MIT
#include "tests/simulation/coverage.hpp"

#include <fmt/format.h>

namespace weft::sim {

namespace {

struct Minimum {
  const char* what;
  std::uint64_t of_thousand_seeds;
};
constexpr Minimum kMinimums[] = {
    {"executions", 100'000},
};

}  // namespace

void Coverage::print() const {
  for (const auto& [what, times] : counts_) fmt::print("{:>10}  {}\n", times, what);
}

bool Coverage::sufficient(std::uint64_t seeds) const {
  if (seeds < 1000) return true;  // too few to say
  bool sufficient = true;
  for (const Minimum& minimum : kMinimums) {
    const auto found = counts_.find(std::string_view(minimum.what));
    const std::uint64_t times = found != counts_.end() ? found->second : 0;
    const std::uint64_t needed = minimum.of_thousand_seeds * seeds / 1000;
    if (times >= needed) continue;
    sufficient = false;
    fmt::print(stderr, "'{}' occurred {} times in {} seeds; at least {} are needed\n", minimum.what, times,
               seeds, needed);
  }
  return sufficient;
}

}  // namespace weft::sim
