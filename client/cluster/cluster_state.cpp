// SPDX-License-Identifier: MIT
#include "client/cluster/cluster_state.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace weft::cluster {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Host, name, nprocs)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ClusterSettings, bin_directory, host, port, broker_args,
                                                workers, nprocs, hosts, worker_args, journal, log_size, owner)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(MemberState, name, host, stage, process, drained, restarts,
                                                reason, last_lines)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ClusterState, settings, supervisor, address, members)

const MemberState* ClusterState::find(const std::string& name) const {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const MemberState& m) { return m.name == name; });
  return found == members.end() ? nullptr : &*found;
}

std::string to_json(const ClusterState& state) {
  // The output of a member may not be valid UTF-8.
  return nlohmann::json(state).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ClusterState state_from_json(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<ClusterState>();
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(std::string("the state of the cluster cannot be read: ") + error.what());
  }
}

}  // namespace weft::cluster
