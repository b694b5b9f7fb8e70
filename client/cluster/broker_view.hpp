// SPDX-License-Identifier: MIT
// ClusterView, the cluster as the commands see it: the state from its supervisor, or from the state file if
// no supervisor runs, combined with the broker's status.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"
#include "common/wire/messages.hpp"

namespace weft::cluster {

struct ClusterView {
  ClusterState state;
  bool supervised = false;
  std::optional<wire::Status> broker;  // nullopt: the broker does not answer
  std::map<std::string, std::uint64_t>
      joined;  // pids of the workers that have joined the broker and are not lost

  /// Whether the process of `member` is alive.
  bool runs(const MemberState& member) const;
  /// Whether any process of the cluster still runs.
  bool anything_runs() const;
  bool has_joined(const std::string& worker) const { return joined.contains(worker); }
  /// Workers that should be running: they are neither leaving nor drained.
  std::vector<const MemberState*> staying_workers() const;
};

/// Asks the supervisor and the broker. `timeout`: for the broker's answer. Throws std::runtime_error when
/// there is no state.
ClusterView look_at(const StateDirectory& directory, std::chrono::milliseconds timeout);
/// look_at() without asking the broker.
ClusterView look_at_processes(const StateDirectory& directory);

/// Polls the cluster until `done` returns true; false: `timeout` has passed.
bool wait_until(const StateDirectory& directory, std::chrono::milliseconds timeout,
                const std::function<bool(const ClusterView&)>& done);
/// Whether the broker answers and all workers that should be running have joined. Throws Failed when one of
/// these members was given up, or is dead without a supervisor.
bool all_joined(const ClusterView& view, const StateDirectory& directory);
/// Explains which members have not joined, with the ends of their logs.
std::string explain_missing(const ClusterView& view);
/// Prints address, slots, log directory, and the line to export.
void print_running(const ClusterView& view, const StateDirectory& directory);

/// Thrown by wait_until(): see heed_signals().
struct Interrupted {
  int signal = 0;
};
/// Makes wait_until() throw Interrupted after SIGINT or SIGTERM.
void heed_signals();
/// Ignores SIGINT and SIGTERM.
void ignore_signals();

}  // namespace weft::cluster
