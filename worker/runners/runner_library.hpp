// SPDX-License-Identifier: MIT
// The task libraries of a runner. Libraries are never unloaded; tasks are found by name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner/runner_loop.hpp"
#include "weft/task_abi.h"

namespace weft::runner {

class Libraries {
 public:
  /// Loads the shared object `path`. Throws Error with the loader's message, or when it is not a task
  /// library, or when a library loaded before has a task of the same name.
  void load(const std::string& path);

  /// All tasks, by name.
  std::vector<FunctionEntry> functions() const;

  /// Calls a task and returns its encoded result. Throws Failure when the task is unknown, has another
  /// signature, or reports an error.
  detail::ByteBuffer call(const RunNamed& named, std::string_view payload) const;

 private:
  std::map<std::string, const weft_task_entry*, std::less<>> tasks_;
};

}  // namespace weft::runner
