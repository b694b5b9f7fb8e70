// SPDX-License-Identifier: MIT
#include "tests/simulation/world.hpp"

#include <cstdio>
#include <cstdlib>

namespace weft::sim {

void World::run_until(Time time) {
  while (!queue_.empty() && queue_.top().at <= time) {
    // top() is const, but the entry leaves the queue in the next line, before any other code sees the
    // moved-from one.
    Entry entry = std::move(const_cast<Entry&>(queue_.top()));
    queue_.pop();
    now_ = entry.at;
    ++events_;
    entry.happen();
  }
  now_ = time;
}

void fail(const std::string& what) {
  std::fprintf(stderr, "promise broken: %s\n", what.c_str());
  std::abort();
}

}  // namespace weft::sim
