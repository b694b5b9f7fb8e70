// SPDX-License-Identifier: MIT
// The task that this process runs now, as weft::this_task shows it to any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner_channel.hpp"
#include "weft/ids.hpp"

namespace weft::runner {

/// The numbers in the line of `name` in a text as TaskSetup::indices is.
std::vector<int> indices_of(std::string_view text, std::string_view name);

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

/// What this_task::resource() tells, while a task that holds indices of resources runs.
class HeldIndices {
 public:
  explicit HeldIndices(const std::string& indices);
  ~HeldIndices();
  HeldIndices(const HeldIndices&) = delete;
  HeldIndices& operator=(const HeldIndices&) = delete;
};

}  // namespace weft::runner
