// SPDX-License-Identifier: MIT
// MemoryMeter: how much memory this worker may use, and how much of that is in use: of --memory by the worker
// and all that it has started; of each control group and of the machine by everything in there, since the
// kernel kills for those limits whoever it likes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/events.hpp"
#include "worker/own_groups.hpp"

namespace weft::worker {

class MemoryMeter {
 public:
  /// `own_limit`: --memory, if it is given. The paths are those of the system, but for tests.
  explicit MemoryMeter(std::optional<std::uint64_t> own_limit, const GroupFiles& files = {},
                       std::string meminfo = "/proc/meminfo");

  /// The lowest of the limits, in bytes; 0: none is known.
  std::uint64_t limit() const;
  /// Of the limit that is nearest to being reached. `blob_bytes`: what the worker keeps in memory files.
  MemoryUsed read(std::uint64_t blob_bytes) const;
  bool counts_blobs() const { return own_limit_.has_value(); }

 private:
  std::optional<std::uint64_t> own_limit_;
  std::vector<OwnGroup> groups_;
  std::string meminfo_;
};

}  // namespace weft::worker
