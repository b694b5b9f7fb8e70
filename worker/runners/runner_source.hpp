// SPDX-License-Identifier: MIT
// What of a runner process can become readable.
#pragma once

#include <cstdint>

namespace weft::worker {

enum class RunnerSource : std::uint8_t {
  line,    // from its reaper, which reports the end
  socket,  // of the channel: wake-ups and descriptors
  output,  // stdout or stderr
};

}  // namespace weft::worker
