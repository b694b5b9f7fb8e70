// SPDX-License-Identifier: MIT
// Identities of processes that are unique even if pids are reused, sessions of processes, and starting a
// process.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::cluster {

/// "PID START BOOT": identifies a process uniquely, even across reboots. "" for a process that does not exist
/// or is a zombie.
std::string identity_of(pid_t pid);

/// The pid in an identity, if that process is still alive.
std::optional<pid_t> living(const std::string& identity);

/// Whether any process of this session exists.
bool session_has_processes(pid_t session);
/// Sends SIGKILL to every process of this session.
void kill_session(pid_t session);

struct SpawnOrder {
  std::vector<std::string> argv;  // argv[0] without a slash is looked up on $PATH
  int input = -1;                 // -1: /dev/null
  int output = -1;                // stdout and stderr; -1: /dev/null
  bool dies_with_parent = false;  // gets SIGKILL when the thread that called spawn() ends
};

/// Starts a process in a new session and in the current directory, with default signals and no other
/// descriptors. Throws std::system_error with the reason of exec(2).
pid_t spawn(const SpawnOrder& order);

/// The signal that ended a process, also if a shell reports it by its exit code; 0: none.
int signal_of(int wait_status);
/// "left with exit code 3", "was killed by SIGKILL".
std::string describe_exit(int wait_status);

}  // namespace weft::cluster
