// SPDX-License-Identifier: MIT
// SupervisorLoop is the shell of Supervisor, in a separate process without a terminal. It starts members by
// launchers, writes their output to their logs, accepts requests on the control socket, and stores the state.
// A full disk costs it only log lines and delays of the state file.
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
  /// Runs until no member is left, then removes run/.
  void run();

 private:
  /// A process of a member.
  struct Running {
    std::unique_ptr<LaunchedProcess> process;
    std::string identity;
    Time began{};
    bool open = true;                     // its output has not ended
    std::optional<int> wait_status = {};  // set once it has been reaped
    Time reaped{};
    std::optional<Time> kill_at = {};  // when to kill it, after it was told to leave by force
  };
  struct Connection {
    Fd socket;
    std::string request;
    bool hears = false;  // it gets the Say lines while the cluster stops
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
  Fd owner_;  // pidfd of the process that owns this cluster
  std::string broker_said_;
  Actions actions_;
  std::optional<Answer> answer_;
  bool changed_ = true;  // the state has changed since it was last stored
  Time publish_at_{};    // earliest retry after there was no space
  std::map<std::string, std::string> published_;
  bool stopped_ = false;
};

/// `weft cluster supervise ROOT`.
int supervise(const std::string& root);

}  // namespace weft::cluster
