// SPDX-License-Identifier: MIT
// Processes by an identity that outlives pids, sessions of processes, and the start of a process.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"

namespace weft::cluster {

/// "PID START BOOT": tells a process from every other one, of this boot and earlier ones. "" for a process
/// that does not exist or is a zombie.
std::string identity_of(pid_t pid);

/// The pid in an identity, if that very process still lives.
std::optional<pid_t> living(const std::string& identity);

/// Whether a process is left in the session that this process began.
bool session_has_processes(pid_t session);
void kill_session(pid_t session);

struct SpawnOrder {
  std::vector<std::string> argv;  // argv[0] without a slash is looked for on $PATH
  int input = -1;                 // -1: /dev/null
  int output = -1;                // stdout and stderr; -1: /dev/null
  bool dies_with_parent = false;  // SIGKILL when the thread that started it ends
};

/// Starts a process in a session of its own and in this directory, with default signals and no other
/// descriptors. Throws std::system_error with the reason of exec(2).
pid_t spawn(const SpawnOrder& order);

/// The signal that ended a process, also one that a shell says by its exit code; 0: none.
int signal_of(int wait_status);
/// "left with exit code 3", "was killed by SIGKILL".
std::string describe_exit(int wait_status);

}  // namespace weft::cluster
