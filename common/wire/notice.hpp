// SPDX-License-Identifier: MIT
// Notice: an observation of a core, as data: what happened, to whom, and the numbers. A core emits notices
// among its actions; text_of() makes a sentence of one, for the log.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "weft/ids.hpp"

namespace weft {

enum class NoticeLevel : std::uint8_t { info, warning, error };

/// The comment of each says which fields of Notice it has, and the meaning of its numbers. Times are in
/// microseconds.
enum class NoticeKind : std::uint8_t {
  // ---- of the broker; `name` is the worker or the client ----
  worker_joined,    // place: its host. 0: slots
  worker_draining,  //
  worker_lost,      // detail: why
  worker_left,      // detail: why. 0: tasks that are queued again
  worker_stalled,   // detail: what it does not get on with
  worker_avoided,   // place: its host; detail: why. 0: percent of the attempts elsewhere that failed
  worker_held,      // it accepts no new tasks. detail: why
  worker_accepts,   // again
  client_joined,    // place: its host
  client_back,      // place: its host
  client_silent,    // detail: why. 0: how long the broker waits for it
  client_heard,     // again
  client_lost,      // detail: why. 0: how long the broker waits for it
  client_left,  // detail: why. 0: tasks cancelled, 1: of those with a worker, 2: detached tasks that go on
  tasks_wait,   // detail: why. 0: tasks
  message_refused,  // detail: why
  journal_refused,  // detail: why it cannot be written
  journal_read,     // 0: open detached tasks, 1: answers to be fetched
  answer_expired,   // task

  // ---- of the broker and of the client ----
  result_lost,  // task; detail: why. 0: whether the task runs again for that reason

  // ---- of a worker; `name` is the address of the broker where there is one ----
  broker_joined,      // place: the worker's name. 0: epoch, 1: slots
  broker_awaited,     // detail: why. 0: time to the next attempt
  broker_silent,      // 0: tasks here
  message_unhandled,  // detail: the message
  memory_short,       // detail: what is used. 0: percent below which tasks are accepted again
  memory_one_task,    // detail: what is used. One task at a time is accepted
  memory_enough,      //
  runner_replaced,    // 0: slot
  runner_ended,       // an idle one. detail: how. 0: slot
  program_refused,    // detail: why it cannot start
  blob_missing,       // name: the blob; detail: why
  worker_drains,      // 0: tasks here
  worker_exits,       // detail: why. 0: exit code

  // ---- of a worker and of a client ----
  broker_lost,   // detail: why. 0: tasks here, 1: how long it is waited for (kForever: no limit; 0: not said)
  task_crashed,  // task; name: function; label; place: the worker (of a client); detail: how.
                 // 0: crashes so far, 1: crash limit (0: not known), 2: other crashes since the last notice

  // ---- of a client; `name` is the address of the broker ----
  broker_missing,  // it has not answered yet. detail: why. 1: as of broker_lost
  broker_back,
};

struct Notice {
  static constexpr std::uint64_t kForever = UINT64_MAX;

  NoticeKind kind{};
  std::string name;
  std::string place;
  std::string label;   // of a task
  std::string detail;  // words of a peer, of the system, or of an explanation that is also shown elsewhere
  TaskId task;
  std::array<std::uint64_t, 3> numbers{};
  bool operator==(const Notice&) const = default;
};

NoticeLevel level_of(const Notice& notice);
/// One sentence without a full stop; not empty.
std::string text_of(const Notice& notice);

}  // namespace weft
