// SPDX-License-Identifier: MIT
// Memory limits of runners, where no cgroup does it: what a runner and all that descends from it use
// together, by /proc. Looked at every 100 ms, and only while a limit is set and a task runs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weft::worker {

/// Bytes in "2G", "512M", "1.5GiB", "1000000"; K, M, G and T are powers of 1024. nullopt: malformed.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// "2.0 GiB".
std::string format_bytes(std::uint64_t bytes);

/// All processes of this moment.
class ProcessTable {
 public:
  ProcessTable();
  /// Resident bytes of what descends from `pid`, without itself.
  std::uint64_t resident_bytes_below(pid_t pid) const;

 private:
  std::unordered_map<pid_t, std::uint64_t> bytes_;
  std::unordered_map<pid_t, std::vector<pid_t>> children_;
};

}  // namespace weft::worker
