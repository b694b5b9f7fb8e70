// SPDX-License-Identifier: MIT
// SupervisorLoop is the shell of Supervisor: a process of its own, without a terminal, that starts members by
// launchers, reads what they print into their logs, takes requests from the control socket, and writes the
// state down. A disk that is full costs it lines of logs and a state file that is late, nothing else.
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
  /// Throws std::system_error. `state` has the settings.
  SupervisorLoop(StateDirectory directory, ClusterState state);
  /// Until nothing is left of the cluster; then run/ is gone.
  void run();

 private:
  /// A process of a member.
  struct Running {
    std::unique_ptr<LaunchedProcess> process;
    std::string identity;
    Time began{};
    bool open = true;                     // its output
    std::optional<int> wait_status = {};  // it has been reaped
    Time reaped{};
    std::optional<Time> kill_at = {};  // it was told to end by force
  };
  struct Connection {
    Fd socket;
    std::string request;
    bool hears = false;  // what is said while the cluster stops
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
  Fd owner_;  // a pidfd of the process whose cluster this is
  std::string broker_said_;
  Actions actions_;
  std::optional<Answer> answer_;
  bool changed_ = true;  // since the state was last written down
  Time publish_at_{};    // not before: there was no space
  std::map<std::string, std::string> published_;
  bool stopped_ = false;
};

/// `weft cluster supervise ROOT`.
int supervise(const std::string& root);

}  // namespace weft::cluster
