// SPDX-License-Identifier: MIT
// What a function can ask about the task that it runs in, from any thread of that task. Outside a
// task (in the client's own process, say, where the same function may be called directly) each
// answer is the neutral one, so that a function needs no special case.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weft/ids.hpp"

namespace weft::this_task {

/// The task's id; outside a task an empty one (seq 0).
TaskId id();

/// Executions started, with this one: 1 the first time, more after a retry or a crash. 0 outside a task.
std::uint32_t attempt();

/// Name of the worker; "" outside a task.
std::string worker();

/// Which indices of a worker's resource this task holds, as `weft-worker --resources gpu=[0,1]` lists them:
/// as many as TaskOptions::resources asks for, a part of one counting as one. The same number may be held by
/// several tasks that ask for parts. Empty when the resource is only an amount ("gpu=2"), when the task did
/// not ask for it, and outside a task. For "gpu", CUDA_VISIBLE_DEVICES says the same to the libraries that
/// read it.
std::vector<int> resource(const std::string& name);

/// True once the task was cancelled or timed out: return soon, for about a second later it is
/// terminated. Cheap enough for an inner loop. False outside a task.
bool stop_requested() noexcept;

}  // namespace weft::this_task
