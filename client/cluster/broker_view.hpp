// SPDX-License-Identifier: MIT
// A cluster as the commands see it: what its supervisor says, or without one its state file, with what the
// broker says.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"
#include "common/messages.hpp"

namespace weft::cluster {

struct ClusterView {
  ClusterState state;
  bool supervised = false;
  std::optional<wire::Status> broker;  // nullopt: it does not answer
  std::map<std::string, std::uint64_t>
      joined;  // workers that the broker has and has not lost, with their pids

  bool runs(const MemberState& member) const;
  /// Whether anything of it still runs.
  bool anything_runs() const;
  bool has_joined(const std::string& worker) const { return joined.contains(worker); }
  /// Workers that are to be there.
  std::vector<const MemberState*> staying_workers() const;
};

/// Throws std::runtime_error when there is no state. `timeout` is the broker's.
ClusterView look_at(const StateDirectory& directory, std::chrono::milliseconds timeout);
/// Without asking the broker.
ClusterView look_at_processes(const StateDirectory& directory);

/// Looks at the cluster until `done` or until the time is over, which is false.
bool wait_until(const StateDirectory& directory, std::chrono::milliseconds timeout,
                const std::function<bool(const ClusterView&)>& done);
/// Whether all that stay have joined. Throws Failed when one of them never will.
bool all_joined(const ClusterView& view, const StateDirectory& directory);
/// Why not, with the ends of logs.
std::string explain_missing(const ClusterView& view);
/// Address, slots and logs, and the line to export.
void print_running(const ClusterView& view, const StateDirectory& directory);

/// Makes SIGINT and SIGTERM end what waits in wait_until(), which throws Interrupted.
struct Interrupted {
  int signal = 0;
};
void heed_signals();
void ignore_signals();

}  // namespace weft::cluster
