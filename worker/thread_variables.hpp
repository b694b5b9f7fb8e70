// SPDX-License-Identifier: MIT
// The variables by which libraries that start threads of their own are told how many: in every task they say
// how many cores it has, unless whoever has started the worker has set them.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

namespace weft::worker {

/// Sets those that are not set, for this process and all that it starts. Returns their names.
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
