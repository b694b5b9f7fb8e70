// SPDX-License-Identifier: MIT
// Events into Supervisor and actions out of it. Plain values.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/time.hpp"

namespace weft::cluster {

// ---- events: processes ----

/// Time has passed: does what is due.
struct Tick {};

/// The broker has printed its address.
struct Serving {};

/// A member's process has ended, with all processes of its session, or could not be started.
struct Ended {
  std::string name;
  bool by_code = false;  // it exited with `code`; otherwise killed by a signal, or ssh failed
  int code = 0;
  std::string how;         // "left with exit code 1 after 0.0 s"
  std::string last_words;  // the last lines of its output, joined to one
  Duration lived{};
  std::string full_disk;  // a directory that members need and that has no free space; "": none
};

// ---- events: requests; each is answered by one Answer, Stop also by Stopped ----

struct AddBroker {};
struct AddWorker {
  std::string name;  // "": worker-N, which is the text of the Answer
  bool remote = false;
};
/// Sets the number of workers: restarts workers that are out, then starts new ones here; or tells the newest
/// to leave.
struct Scale {
  int workers = 0;
};
/// Restarts members that were drained or given up.
struct Revive {};
/// The worker finishes its tasks and stays out until Scale or Revive.
struct DrainMember {
  std::string name;
};
/// The member finishes its tasks and is restarted.
struct RestartMember {
  std::string name;
};
/// The worker gets SIGKILL and is not restarted.
struct KillMember {
  std::string name;
};
/// Stops first the workers, then the broker. Escalates to SIGKILL after `grace`.
struct Stop {
  Duration grace{};
};

using Event = std::variant<Tick, Serving, Ended, AddBroker, AddWorker, Scale, Revive, DrainMember,
                           RestartMember, KillMember, Stop>;

// ---- actions ----

/// Starts a process of the member.
struct Start {
  std::string name;
};
/// Sends SIGTERM, or with `force` SIGKILL. Without `force` only once for a process: a second SIGTERM would
/// make the member leave at once.
struct TellToLeave {
  std::string name;
  bool force = false;
};
/// A line in the member's log.
struct Note {
  std::string name;
  std::string text;
};
/// A line for the connections that have requested Stop.
struct Say {
  std::string text;
};
/// The answer to the request.
struct Answer {
  bool ok = true;
  std::string text;
};
/// No member is left.
struct Stopped {};

using Action = std::variant<Start, TellToLeave, Note, Say, Answer, Stopped>;
using Actions = std::vector<Action>;

}  // namespace weft::cluster
