// SPDX-License-Identifier: MIT
// Launcher: how a member is started, here or on another machine. The supervisor sees each member as one
// process of this machine with a pipe for its output; the launcher knows how to signal the member.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::cluster {

struct LaunchOrder {
  std::vector<std::string> argv;  // argv[0] is a program of bin_directory, without a path
  std::string bin_directory;
  std::string host;  // "": this machine
  bool dies_with_parent = false;
};

/// The process of a member on this machine: the member itself, or the ssh that runs it.
class LaunchedProcess {
 public:
  LaunchedProcess(pid_t pid, Fd output) : pid_(pid), output_(std::move(output)) {}
  virtual ~LaunchedProcess() = default;
  LaunchedProcess(const LaunchedProcess&) = delete;
  LaunchedProcess& operator=(const LaunchedProcess&) = delete;

  pid_t pid() const { return pid_; }
  const Fd& output() const { return output_; }
  /// Sends SIGTERM or SIGKILL to the member.
  virtual void tell(int signal) = 0;

 private:
  pid_t pid_;
  Fd output_;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  /// Starts a member. Throws std::system_error.
  virtual std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) = 0;
};

/// Starts members on this machine.
class LocalLauncher : public Launcher {
 public:
  std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) override;
};

/// Starts members by ssh, or by $WEFT_SSH. The program is looked up on the remote machine in bin_directory
/// and on $PATH.
class SshLauncher : public Launcher {
 public:
  std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) override;
};

}  // namespace weft::cluster
