// SPDX-License-Identifier: MIT
// The descriptors of a runner process that the agent polls.
#pragma once

#include <cstdint>

namespace weft::worker {

enum class RunnerSource : std::uint8_t {
  line,    // from its reaper, which reports the end
  socket,  // of the channel: wake-ups and descriptors
  output,  // stdout or stderr
};

}  // namespace weft::worker
