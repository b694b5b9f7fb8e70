// SPDX-License-Identifier: MIT
// How a process ended, in words.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>

namespace weft::worker {

/// "exited with code 3", "was killed by SIGSEGV (Segmentation fault)". `signal` 0: the process exited.
inline std::string exit_text(int signal, int exit_code) {
  if (signal == 0) return fmt::format("exited with code {}", exit_code);
  const char* name = sigabbrev_np(signal);
  const char* words = sigdescr_np(signal);
  if (name == nullptr || words == nullptr) return fmt::format("was killed by signal {}", signal);
  return fmt::format("was killed by SIG{} ({})", name, words);
}

}  // namespace weft::worker
