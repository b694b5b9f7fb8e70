// SPDX-License-Identifier: MIT
// Limits of this process that it raises for itself, and gives back to the processes that it starts.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

/// Descriptors that a worker needs beside its slots: sockets of libzmq, programs and libraries, a runner that
/// is being started.
inline constexpr rlim_t kOwnFiles = 44;
/// Descriptors for each slot: a runner's line, channel, stdout and stderr; an argument, a copy of it on its
/// way to the runner, and a result.
inline constexpr rlim_t kFilesPerSlot = 7;

/// The slots for which `files` descriptors are enough; 0: not for a single one.
inline std::uint32_t slots_for_files(rlim_t files) {
  if (files < kOwnFiles) return 0;
  return static_cast<std::uint32_t>(std::min<rlim_t>((files - kOwnFiles) / kFilesPerSlot, UINT32_MAX));
}

/// Of what `slots` leave, a third each is for arguments, for copies of them, and for results.
inline std::size_t blob_files_for(rlim_t files, std::uint32_t slots) {
  return static_cast<std::size_t>((files - kOwnFiles - slots * (kFilesPerSlot - 3)) / 3);
}

/// As many open files as the hard limit allows: a runner needs several descriptors here.
inline void raise_file_limit() {
  rlimit raised = original_file_limit();
  raised.rlim_cur = raised.rlim_max;
  setrlimit(RLIMIT_NOFILE, &raised);
}

}  // namespace weft::worker
