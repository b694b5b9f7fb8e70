// SPDX-License-Identifier: MIT
// A snapshot of a cluster, as returned by Client::cluster().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weft {

struct WorkerInfo {
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::string state;           ///< idle, busy, draining or lost
  std::uint32_t slots = 0;     ///< tasks that it runs at once
  std::uint32_t running = 0;   ///< tasks that are running
  std::uint64_t assigned = 0;  ///< tasks assigned to it, including queued ones
  std::uint64_t finished = 0;  ///< since it joined
  std::map<std::string, double> resources;
  std::map<std::string, double> resources_free;
};

struct ClusterInfo {
  std::string version;      ///< of the broker
  std::uint64_t epoch = 0;  ///< changes when the broker restarts
  std::chrono::milliseconds uptime{0};
  std::uint32_t clients = 0;
  std::uint32_t slots = 0;
  std::uint32_t slots_busy = 0;
  std::uint64_t tasks_queued = 0;    ///< queued in the broker, of all clients
  std::uint64_t tasks_assigned = 0;  ///< assigned to a worker
  std::uint64_t tasks_finished = 0;  ///< since the broker started
  std::vector<WorkerInfo> workers;
};

}  // namespace weft
