// SPDX-License-Identifier: MIT
// The options of a task as its runner receives them.
#include "worker/runners/task_setup.hpp"

#include <doctest/doctest.h>

#include <optional>

namespace weft::worker {

TEST_SUITE("task setup") {
  RunTask task_of(wire::TaskSpec spec, std::optional<Indices> indices = std::nullopt) {
    RunTask task;
    task.spec = LocalSharedPtr<const wire::TaskSpec>::make(std::move(spec));
    if (indices) task.indices = LocalSharedPtr<const Indices>::make(*indices);
    return task;
  }

  TEST_CASE("a plain task needs no setup") { CHECK_FALSE(needs_setup(task_of({}))); }

  TEST_CASE("a task with several threads tells the libraries, unless its spec does") {
    wire::TaskSpec spec;
    spec.threads = 4;
    spec.environment["B"] = "1";
    const RunTask task = task_of(spec);
    CHECK(needs_setup(task));
    CHECK(setup_of(task, {"A", "B"}).environment ==
          std::map<std::string, std::string>{{"A", "4"}, {"B", "1"}});
    spec.threads = 1;
    CHECK(setup_of(task_of(spec), {"A"}).environment == std::map<std::string, std::string>{{"B", "1"}});
  }

  TEST_CASE("a task sees the GPUs that it holds, unless its spec says otherwise") {
    wire::TaskSpec spec;
    const Indices gpus{{"gpu", {1, 3}}};
    CHECK(needs_setup(task_of(spec, gpus)));
    const runner::TaskSetup setup = setup_of(task_of(spec, gpus), {});
    CHECK(setup.indices == indices_text(gpus));
    CHECK(setup.environment == std::map<std::string, std::string>{{"CUDA_VISIBLE_DEVICES", "1,3"}});
    spec.environment["CUDA_VISIBLE_DEVICES"] = "0";
    CHECK(setup_of(task_of(spec, gpus), {}).environment == spec.environment);
    CHECK(setup_of(task_of({}, Indices{{"licence", {2}}}), {}).environment.empty());
  }
}

}  // namespace weft::worker
