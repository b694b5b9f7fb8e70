// SPDX-License-Identifier: MIT
// What is known of a cluster: its settings, and its members as they are. The supervisor keeps it as one JSON
// file, run/cluster.json, and answers questions with the same text; `up` writes the first, without members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weft::cluster {

struct Host {
  std::string name;  // as ssh takes it
  int nprocs = 0;    // 0: its cores
};

struct ClusterSettings {
  std::string bin_directory;
  std::string host = "127.0.0.1";
  int port = 8786;  // once the broker has said what it serves, that: a restart takes the same
  std::vector<std::string> broker_args;
  int workers = 1;
  int nprocs = 1;  // of each worker on this machine
  std::vector<Host> hosts;
  std::vector<std::string> worker_args;
  std::string journal;  // "": none
  std::uint64_t log_size = 8 << 20;
  int owner = 0;  // a pid: the cluster ends with that process, and its directory with it; 0: with `down`
};

struct MemberState {
  std::string name;
  std::string host;     // of a remote worker, else ""
  std::string stage;    // see name_of(Stage)
  std::string process;  // identity_of() its process, or the ssh; "": none
  bool drained = false;
  int restarts = 0;
  std::string reason;
  std::vector<std::string> last_lines;  // of its output
};

struct ClusterState {
  ClusterSettings settings;
  std::string supervisor;  // identity_of()
  std::string address;     // of the broker; "": it has not said
  std::vector<MemberState> members;

  const MemberState* find(const std::string& name) const;
};

std::string to_json(const ClusterState& state);
/// Throws std::runtime_error.
ClusterState state_from_json(const std::string& text);

}  // namespace weft::cluster
