// SPDX-License-Identifier: MIT
#include "tests/simulation/trace.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace weft::sim {

void Trace::write(Time at, std::string_view node, const std::string& text) {
  if (text.ends_with("Heartbeat")) return;  // heartbeats would hide all other lines
  const double ms = static_cast<double>(at.time_since_epoch().count()) / 1000;
  std::string line = fmt::format("[{:10.3f}] {:<8} {}\n", ms, node, text);
  if (text_ == Text::all) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    return;
  }
  tail_.push_back(std::move(line));
  if (tail_.size() > tail_lines_) tail_.pop_front();
}

void Trace::print_tail() const {
  for (const std::string& line : tail_) std::fwrite(line.data(), 1, line.size(), stdout);
}

}  // namespace weft::sim
