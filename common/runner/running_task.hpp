// SPDX-License-Identifier: MIT
// The task that this process is running, shown by weft::this_task to any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner/runner_channel.hpp"
#include "weft/ids.hpp"

namespace weft::runner {

/// The indices of resource `name` in a text in the format of TaskSetup::indices.
std::vector<int> indices_of(std::string_view text, std::string_view name);

/// Exists as long as the task runs; at most one at a time. `page` must outlive it.
class RunningTask {
 public:
  RunningTask(const RunTask& task, const Page& page);
  ~RunningTask();
  RunningTask(const RunningTask&) = delete;
  RunningTask& operator=(const RunningTask&) = delete;

  /// The name of the worker; "" until it is known.
  static void set_worker(const std::string& worker);
  static std::string worker();
};

/// The indices that this_task::resource() returns while a task runs.
class HeldIndices {
 public:
  explicit HeldIndices(const std::string& indices);
  ~HeldIndices();
  HeldIndices(const HeldIndices&) = delete;
  HeldIndices& operator=(const HeldIndices&) = delete;
};

}  // namespace weft::runner
