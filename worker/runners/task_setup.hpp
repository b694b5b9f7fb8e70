// SPDX-License-Identifier: MIT
// The options of a task as its runner gets them (runner::TaskSetup): those of its spec, the resource indices
// that it holds, and the environment variables that follow from both. Pure.
#pragma once

#include <string>
#include <vector>

#include "common/wire/runner_messages.hpp"
#include "worker/core/events.hpp"

namespace weft::worker {

/// Whether the task needs a setup. Few do, and encoding one would cost each of the others.
inline bool needs_setup(const RunTask& task) {
  const wire::TaskSpec& spec = *task.spec;
  return task.indices || !spec.directory.empty() || !spec.environment.empty() || !spec.start.empty() ||
         spec.threads > 1;
}

/// `thread_variables`: set to the number of threads of a task that has several, unless its spec sets them.
/// CUDA_VISIBLE_DEVICES is set to the indices of "gpu", with the same exception.
runner::TaskSetup setup_of(const RunTask& task, const std::vector<std::string>& thread_variables);

}  // namespace weft::worker
