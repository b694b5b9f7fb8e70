// SPDX-License-Identifier: MIT
// File limits that the worker raises for itself and restores for the processes that it starts.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace weft::worker {

/// RLIMIT_NOFILE as of the first call, restored for runners: programs that use select() rely on a low one.
inline const rlimit& original_file_limit() {
  static const rlimit limit = [] {
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    return now;
  }();
  return limit;
}

/// Descriptors that a worker needs in addition to its slots: sockets of libzmq, programs and libraries, a
/// runner that is being started.
inline constexpr rlim_t kOwnFiles = 44;
/// Descriptors for each slot: a runner's line, channel, stdout and stderr; an argument, a copy of it that is
/// being sent to the runner, and a result.
inline constexpr rlim_t kFilesPerSlot = 7;

/// The number of slots for which `files` descriptors are enough; may be 0.
inline std::uint32_t slots_for_files(rlim_t files) {
  if (files < kOwnFiles) return 0;
  return static_cast<std::uint32_t>(std::min<rlim_t>((files - kOwnFiles) / kFilesPerSlot, UINT32_MAX));
}

/// Number of descriptors for arguments, and the same number for their copies and for results: a third of what
/// `slots` runners leave of `files`.
inline std::size_t blob_files_for(rlim_t files, std::uint32_t slots) {
  return static_cast<std::size_t>((files - kOwnFiles - slots * (kFilesPerSlot - 3)) / 3);
}

/// Raises the limit of open files to the hard limit: the worker needs several descriptors for each runner.
inline void raise_file_limit() {
  rlimit raised = original_file_limit();
  raised.rlim_cur = raised.rlim_max;
  setrlimit(RLIMIT_NOFILE, &raised);
}

}  // namespace weft::worker
