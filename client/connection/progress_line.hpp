// SPDX-License-Identifier: MIT
// The text of a progress bar. Pure.
#pragma once

#include <cstddef>
#include <string>

namespace weft::client {

struct ProgressCounts {
  std::size_t done = 0;  // ended in any way
  std::size_t total = 0;
  std::size_t running = 0;
  std::size_t failed = 0;  // without cancelled tasks
  std::size_t cancelled = 0;
  double seconds = 0;  // since the start
  std::string label;   // of the tasks; "": none
  bool no_worker = false;
};

/// "fit [#####>....] 1234/5000 24% | 812 task/s | running 16, failed 2 | 00:12 ETA 00:31", at most `width`
/// characters; if `width` is too small, the bar is left out first.
std::string progress_line(const ProgressCounts& counts, std::size_t width);

}  // namespace weft::client
