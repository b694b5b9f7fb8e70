// SPDX-License-Identifier: MIT
// SupervisorLoop is the shell of Supervisor, in a separate process without a terminal. It starts members by
// launchers, writes their output to their logs, accepts requests on the control socket, and stores the state.
// When the disk is full, log lines are dropped and the state file is written later.
#pragma once

#include <sys/signalfd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/launcher.hpp"
#include "client/cluster/log_file.hpp"
#include "client/cluster/supervisor.hpp"

namespace weft::cluster {

class SupervisorLoop {
 public:
  /// `state` contains the settings. Throws std::system_error.
  SupervisorLoop(StateDirectory directory, ClusterState state);
  /// Runs until Stop has ended all members, then removes run/; with an owner, the whole state directory.
  void run();

 private:
  /// A process of a member.
  struct Running {
    std::unique_ptr<LaunchedProcess> process;
    std::string identity;
    Time began{};
    bool open = true;                     // its output has not ended
    std::optional<int> wait_status = {};  // set once the process has been reaped
    Time reaped{};
    // escalation: when to kill the process here, after the member was sent SIGKILL
    std::optional<Time> kill_at = {};
  };
  struct Connection {
    Fd socket;
    std::string request;
    bool hears = false;  // gets the Say lines while the cluster stops
    bool over = false;
  };

  void begin();
  void wait();
  void take_signals();
  void look_at_owner();
  void accept_connections();
  void serve(Connection& connection);
  std::string reply_to(Connection& connection, const std::string& request);
  void read_output(const std::string& name, Running& running);
  void look_for_address(std::string_view bytes);
  void reap();
  void finish_ended();
  bool is_over(Running& running);
  Ended ended(const std::string& name, const Running& running);
  std::string full_disk() const;

  void feed(const Event& event);
  void perform(const Start& action);
  void perform(const TellToLeave& action);
  void perform(const Note& action);
  void perform(const Say& action);
  void perform(const Answer& action);
  void perform(const Stopped&);
  LaunchOrder order_for(const std::string& name) const;
  const Host* host_of(const std::string& name) const;
  LogFile& log_of(const std::string& name);

  ClusterState state_now(bool with_lines) const;
  void publish();
  void publish_file(const std::string& name, const std::string& content);

  StateDirectory directory_;
  ClusterSettings settings_;
  std::string identity_;
  std::string address_;
  Supervisor supervisor_;
  LocalLauncher here_;
  SshLauncher elsewhere_;
  std::map<std::string, Running> running_;
  std::map<std::string, LogFile> logs_;
  std::vector<Connection> connections_;
  Fd signals_;
  Fd listener_;
  Fd owner_;                 // pidfd of the process that owns this cluster
  std::string broker_said_;  // output of the broker until its address is found
  Actions actions_;
  std::optional<Answer> answer_;
  bool changed_ = true;  // the state has changed since it was last stored
  Time publish_at_{};    // earliest retry after a write failed because the disk was full
  std::map<std::string, std::string> published_;  // content of each file, by name
  bool stopped_ = false;
};

/// `weft cluster supervise ROOT`, the main function of a supervisor. Returns the exit code.
int supervise(const std::string& root);

}  // namespace weft::cluster
