// SPDX-License-Identifier: MIT
// MemoryMeter: how much memory this worker may use, and how much of that is in use. For --memory the worker
// and its descendants count; for each control group and for the machine everything in it counts, since the
// kernel may kill any process there to enforce the limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/events.hpp"
#include "worker/runners/own_groups.hpp"

namespace weft::worker {

class MemoryMeter {
 public:
  /// `own_limit`: --memory, if given. The paths are parameters for tests.
  explicit MemoryMeter(std::optional<std::uint64_t> own_limit, const GroupFiles& files = {},
                       std::string meminfo = "/proc/meminfo");

  /// The lowest limit in bytes; 0: unknown.
  std::uint64_t limit() const;
  /// Reads the limit that is closest to being reached. `blob_bytes`: what the worker holds in memfds.
  MemoryUsed read(std::uint64_t blob_bytes) const;
  /// Whether read() uses `blob_bytes`; otherwise they need not be counted.
  bool counts_blobs() const { return own_limit_.has_value(); }

 private:
  std::optional<std::uint64_t> own_limit_;
  std::vector<OwnGroup> groups_;
  std::string meminfo_;
};

}  // namespace weft::worker
