// SPDX-License-Identifier: MIT
#include "worker/runners/task_setup.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weft::worker {

runner::TaskSetup setup_of(const RunTask& task, const std::vector<std::string>& thread_variables) {
  const wire::TaskSpec& spec = *task.spec;
  runner::TaskSetup setup{.directory = spec.directory, .environment = spec.environment, .start = spec.start};
  if (spec.threads > 1) {
    for (const std::string& name : thread_variables)
      setup.environment.try_emplace(name, std::to_string(spec.threads));
  }
  if (task.indices) {
    setup.indices = indices_text(*task.indices);
    if (const auto gpus = task.indices->find("gpu"); gpus != task.indices->end())
      setup.environment.try_emplace("CUDA_VISIBLE_DEVICES", fmt::format("{}", fmt::join(gpus->second, ",")));
  }
  return setup;
}

}  // namespace weft::worker
