// SPDX-License-Identifier: MIT
// The state of a cluster: its settings and its members. The supervisor stores it as one JSON file,
// run/cluster.json, and answers queries with the same text; `up` writes the first version, without members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weft::cluster {

struct Host {
  std::string name;  // in ssh's notation
  int nprocs = 0;    // slots of the worker there; 0: the cores of the host
};

struct ClusterSettings {
  std::string bin_directory;
  std::string host = "127.0.0.1";
  // replaced by the actual port once the broker has printed it, so that a restart uses the same port
  int port = 8786;
  std::vector<std::string> broker_args;
  int workers = 1;
  int nprocs = 1;  // slots of each worker on this machine
  std::vector<Host> hosts;
  std::vector<std::string> worker_args;
  std::string journal;  // "": none
  std::uint64_t log_size = 8 << 20;
  // pid of the process with whose end the cluster ends and its directory is removed; 0: ends by `down`
  int owner = 0;
};

struct MemberState {
  std::string name;
  std::string host;     // of a remote worker; otherwise ""
  std::string stage;    // see name_of(Stage)
  std::string process;  // identity_of() its process, or of the ssh that runs it; "": not running
  bool drained = false;
  int restarts = 0;
  std::string reason;                   // why the member was given up, or is not running
  std::vector<std::string> last_lines;  // last lines of its output
};

struct ClusterState {
  ClusterSettings settings;
  std::string supervisor;  // identity_of() the supervisor
  std::string address;     // of the broker; "": not known yet
  std::vector<MemberState> members;

  const MemberState* find(const std::string& name) const;
};

std::string to_json(const ClusterState& state);
/// Throws std::runtime_error if `text` is not a state.
ClusterState state_from_json(const std::string& text);

}  // namespace weft::cluster
