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
  RunningTask(const RunTask& task, const Page& page);
  ~RunningTask();
  RunningTask(const RunningTask&) = delete;
  RunningTask& operator=(const RunningTask&) = delete;

  /// The worker of all tasks here; "" until it is known.
  static void set_worker(const std::string& worker);
  static std::string worker();
};

}  // namespace weft::runner
