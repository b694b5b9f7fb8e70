// SPDX-License-Identifier: MIT
// What can happen to a Supervisor, and what it can want done. Pure data.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/time.hpp"

namespace weft::cluster {

// ---- events: processes ----

struct Tick {};

/// The broker has said where it serves.
struct Serving {};

/// A member's process has ended, with all that it left in its session, or could not be started.
struct Ended {
  std::string name;
  bool by_code = false;  // it left by itself, with this exit code; else a signal ended it, or ssh has failed
  int code = 0;
  std::string how;         // "left with exit code 1 after 0.0 s"
  std::string last_words;  // the end of its output, on one line
  Duration lived{};
  std::string full_disk;  // a directory that it needs and that has no space left; "": none
};

// ---- events: requests; each is answered by one Answer, Stop also by Stopped ----

struct AddBroker {};
struct AddWorker {
  std::string name;  // "": worker-N, which the answer says
  bool remote = false;
};
/// So many workers: those that are out come back first, then new ones start here; or the newest leave.
struct Scale {
  int workers = 0;
};
/// Members that were drained or given up start again.
struct Revive {};
/// The worker finishes its tasks and stays out until Scale or Revive.
struct DrainMember {
  std::string name;
};
/// The member finishes its tasks and starts again.
struct RestartMember {
  std::string name;
};
/// SIGKILL; the worker is not started again.
struct KillMember {
  std::string name;
};
/// Everything ends: first the workers, then the broker; by force after `grace`.
struct Stop {
  Duration grace{};
};

using Event = std::variant<Tick, Serving, Ended, AddBroker, AddWorker, Scale, Revive, DrainMember,
                           RestartMember, KillMember, Stop>;

// ---- actions ----

struct Start {
  std::string name;
};
/// Repeated gently, it would mean "now": a member is told once.
struct TellToLeave {
  std::string name;
  bool force = false;
};
/// A line in the member's log.
struct Note {
  std::string name;
  std::string text;
};
/// A line for those who asked for Stop.
struct Say {
  std::string text;
};
struct Answer {
  bool ok = true;
  std::string text;
};
/// Nothing is left of the cluster.
struct Stopped {};

using Action = std::variant<Start, TellToLeave, Note, Say, Answer, Stopped>;
using Actions = std::vector<Action>;

}  // namespace weft::cluster
