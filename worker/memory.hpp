// SPDX-License-Identifier: MIT
// Memory of processes and of all that descends from them, by /proc: of a runner, where --memory-limit is set
// and no cgroup keeps it (every 100 ms while a task runs); of a worker, where --memory is set (every second).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weft::worker {

/// All processes of this moment.
class ProcessTable {
 public:
  ProcessTable();
  /// Resident bytes of what descends from `pid`, without itself.
  std::uint64_t resident_bytes_below(pid_t pid) const;
  /// Resident bytes that `pid` and what descends from it share with no file and no other process: what two of
  /// them have mapped would count twice.
  std::uint64_t private_bytes_of(pid_t pid) const;

 private:
  std::vector<pid_t> below(pid_t pid) const;

  std::unordered_map<pid_t, std::uint64_t> bytes_;
  std::unordered_map<pid_t, std::vector<pid_t>> children_;
};

}  // namespace weft::worker
