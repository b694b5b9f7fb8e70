// SPDX-License-Identifier: MIT
// Memory of processes and their descendants, from /proc. Read for runners every 100 ms while tasks run, if
// --memory-limit is set and no cgroup enforces the limit; and for the worker every second, if --memory is
// set.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weft::worker {

/// A snapshot of all processes.
class ProcessTable {
 public:
  ProcessTable();
  /// Resident bytes of the descendants of `pid`, without `pid` itself.
  std::uint64_t resident_bytes_below(pid_t pid) const;
  /// Resident bytes of `pid` and its descendants, without file-backed and shared memory, which would be
  /// counted once for each process that maps it.
  std::uint64_t private_bytes_of(pid_t pid) const;

 private:
  std::vector<pid_t> below(pid_t pid) const;

  std::unordered_map<pid_t, std::uint64_t> bytes_;
  std::unordered_map<pid_t, std::vector<pid_t>> children_;
};

}  // namespace weft::worker
