// SPDX-License-Identifier: MIT
// Environment variables by which libraries such as OpenMP and BLAS choose their number of threads. In every
// task they are set to the cores that it has, unless the environment of the worker sets them.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

namespace weft::worker {

/// Sets the variables that are unset to `threads`, for this process and its descendants. Returns their names.
/// REQUIRES: this process has one thread.
inline std::vector<std::string> set_thread_variables(unsigned threads) {
  std::vector<std::string> ours;
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                           "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"}) {
    if (std::getenv(name) != nullptr) continue;
    setenv(name, std::to_string(threads).c_str(), 1);
    ours.emplace_back(name);
  }
  return ours;
}

}  // namespace weft::worker
