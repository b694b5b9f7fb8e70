// SPDX-License-Identifier: MIT
// The control socket of a supervisor: a request is one line of JSON, and so is the reply. After the reply to
// "stop", more lines follow while members leave, and the connection closes when no member is left.
//
//   {"do": "state"}                        the state, see cluster_state.hpp
//   {"do": "add" | "revive"}               {"ok": true, "text": "worker-3"}
//   {"do": "scale", "workers": 3}          {"ok": true, "text": ""}
//   {"do": "drain" | "restart" | "kill", "name": "worker-1"}
//   {"do": "stop", "grace_ms": 10000}      {"ok": true, "text": ""}, then {"say": "..."} lines
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "client/cluster/cluster_state.hpp"
#include "client/cluster/state_directory.hpp"
#include "client/cluster/supervisor_events.hpp"
#include "common/system/fd.hpp"

namespace weft::cluster {

struct Reply {
  bool ok = false;
  std::string text;
};

// ---- the supervisor's end ----

/// The listening socket. Throws std::system_error.
Fd listen_for_requests(const StateDirectory& directory);
/// The event of a request; nullopt: the request asks for the state. Throws std::runtime_error for an invalid
/// request.
std::optional<Event> event_of(const std::string& request);
std::string to_line(const Answer& answer);
std::string to_line(const Say& say);

// ---- the commands' end; ask_state and ask throw std::runtime_error when no answer comes within 5 s ----

/// The state of the cluster; nullopt: no supervisor is running.
std::optional<ClusterState> ask_state(const StateDirectory& directory);
/// Sends request `what`. Returns {false, reason} also when no supervisor is running.
Reply ask(const StateDirectory& directory, const std::string& what, const std::string& name = "",
          int workers = 0);
/// Stops the cluster, and passes each Say line to `say`. True: no member is left; false: members are left
/// after `patience`; nullopt: no supervisor is running.
std::optional<bool> ask_to_stop(const StateDirectory& directory, std::chrono::milliseconds grace,
                                std::chrono::milliseconds patience,
                                const std::function<void(const std::string&)>& say);

}  // namespace weft::cluster
