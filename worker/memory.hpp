// SPDX-License-Identifier: MIT
// Memory limits of runners, where no cgroup does it: what the processes of a runner's group use
// together, by /proc. Looked at every 100 ms, and only while a limit is set and a task runs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weft::worker {

/// Bytes in "2G", "512M", "1.5GiB", "1000000"; K, M, G and T are powers of 1024. nullopt: malformed.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// "2.0 GiB".
std::string format_bytes(std::uint64_t bytes);

/// Resident bytes of every process group.
std::map<pid_t, std::uint64_t> resident_bytes_by_group();

}  // namespace weft::worker
