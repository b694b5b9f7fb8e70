// SPDX-License-Identifier: MIT
// What a function can ask about the task that it runs in, from any thread of that task. Outside a
// task (in the client's own process, say, where the same function may be called directly) each
// answer is the neutral one, so that a function needs no special case.
#pragma once

#include <cstdint>
#include <string>

#include "weft/ids.hpp"

namespace weft::this_task {

/// The task's id; outside a task an empty one (seq 0).
TaskId id();

/// Executions started, with this one: 1 the first time, more after a retry or a crash. 0 outside a task.
std::uint32_t attempt();

/// Name of the worker; "" outside a task.
std::string worker();

/// True once the task was cancelled or timed out: return soon, for about a second later it is
/// terminated. Cheap enough for an inner loop. False outside a task.
bool stop_requested() noexcept;

}  // namespace weft::this_task
