// SPDX-License-Identifier: MIT
// The task that this process runs now, as weft::this_task shows it to any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/runner_channel.hpp"
#include "weft/ids.hpp"

namespace weft::runner {

/// Lives as long as the task runs. One at a time. `page` must outlive it.
class RunningTask {
 public:
  RunningTask(TaskId id, std::uint32_t execution, const std::string& worker, std::uint64_t ordinal,
              const Page& page);
  ~RunningTask();
  RunningTask(const RunningTask&) = delete;
  RunningTask& operator=(const RunningTask&) = delete;
};

}  // namespace weft::runner
