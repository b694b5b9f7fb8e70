// SPDX-License-Identifier: MIT
// Launcher: how a member comes to run, here or elsewhere. To the supervisor each is one process of this
// machine with a pipe for its output; what it takes to tell it to leave is the launcher's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/fd.hpp"

namespace weft::cluster {

struct LaunchOrder {
  std::vector<std::string> argv;  // argv[0] is a program of bin_directory, without a path
  std::string bin_directory;
  std::string host;  // "": this machine
  bool dies_with_parent = false;
};

class LaunchedProcess {
 public:
  LaunchedProcess(pid_t pid, Fd output) : pid_(pid), output_(std::move(output)) {}
  virtual ~LaunchedProcess() = default;
  LaunchedProcess(const LaunchedProcess&) = delete;
  LaunchedProcess& operator=(const LaunchedProcess&) = delete;

  pid_t pid() const { return pid_; }
  const Fd& output() const { return output_; }
  /// SIGTERM or SIGKILL to the member.
  virtual void tell(int signal) = 0;

 private:
  pid_t pid_;
  Fd output_;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  /// Throws std::system_error.
  virtual std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) = 0;
};

/// On this machine.
class LocalLauncher : public Launcher {
 public:
  std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) override;
};

/// By ssh, or what $WEFT_SSH says. The program is looked for in bin_directory there, too, and on $PATH.
class SshLauncher : public Launcher {
 public:
  std::unique_ptr<LaunchedProcess> start(const LaunchOrder& order) override;
};

}  // namespace weft::cluster
