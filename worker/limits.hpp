// SPDX-License-Identifier: MIT
// Limits of this process that it raises for itself, and gives back to the processes that it starts.
#pragma once

#include <sys/resource.h>

namespace weft::worker {

/// RLIMIT_NOFILE as it was when the process began: programs that use select() rely on it.
inline const rlimit& original_file_limit() {
  static const rlimit limit = [] {
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    return now;
  }();
  return limit;
}

/// As many open files as the hard limit allows: a runner needs several descriptors here.
inline void raise_file_limit() {
  rlimit raised = original_file_limit();
  raised.rlim_cur = raised.rlim_max;
  setrlimit(RLIMIT_NOFILE, &raised);
}

}  // namespace weft::worker
