// SPDX-License-Identifier: MIT
// Task libraries, as the runner sees them: loaded for ever, their tasks found by name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner_loop.hpp"
#include "weft/task_abi.h"

namespace weft::runner {

class Libraries {
 public:
  /// Loads the shared object `path`. Throws Error with the loader's own message, or when it is no
  /// task library, or has a task whose name is taken.
  void load(const std::string& path);

  /// All tasks, by name.
  std::vector<FunctionEntry> functions() const;

  /// Calls a task: its encoded result. Throws Failure: unknown, another signature, or what it reported.
  detail::ByteBuffer call(const RunNamed& named, std::string_view payload) const;

 private:
  std::map<std::string, const weft_task_entry*, std::less<>> tasks_;
};

}  // namespace weft::runner
