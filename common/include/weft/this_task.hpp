// SPDX-License-Identifier: MIT
// What a function can ask about the task in which it runs, from any thread of that task. Outside a task, for
// example when the client calls the same function directly, each query returns a neutral value, so that the
// function needs no special case.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weft/ids.hpp"

namespace weft::this_task {

/// The id of the task; outside a task, an empty id (seq 0).
TaskId id();

/// Executions started, including this one: 1 for the first, more after a retry or a crash. 0 outside a task.
std::uint32_t attempt();

/// Name of the worker; "" outside a task.
std::string worker();

/// The indices of a worker's resource that this task holds, of those listed by `weft-worker --resources
/// gpu=[0,1]`: as many as TaskOptions::resources asks for, where a fraction counts as one. Several tasks that
/// ask for fractions may hold the same index. Empty when the resource is only an amount ("gpu=2"), when the
/// task did not ask for it, and outside a task. For "gpu", CUDA_VISIBLE_DEVICES is set accordingly.
std::vector<int> resource(const std::string& name);

/// True once the task has been cancelled or has timed out; false outside a task. Then return soon: the worker
/// escalates to SIGTERM about a second later, and to SIGKILL after another second. Cheap enough to poll in an
/// inner loop.
bool stop_requested() noexcept;

}  // namespace weft::this_task
