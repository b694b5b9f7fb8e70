// SPDX-License-Identifier: MIT
// What a cluster looks like at one moment, as Client::cluster() returns it.
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
  std::uint32_t running = 0;   ///< tasks that run now
  std::uint64_t assigned = 0;  ///< tasks that it has, with those that wait there
  std::uint64_t finished = 0;  ///< since it joined
  std::map<std::string, double> resources;
  std::map<std::string, double> resources_free;
};

struct ClusterInfo {
  std::string version;      ///< of the broker
  std::uint64_t epoch = 0;  ///< changes when the broker is started again
  std::chrono::milliseconds uptime{0};
  std::uint32_t clients = 0;
  std::uint32_t slots = 0;
  std::uint32_t slots_busy = 0;
  std::uint64_t tasks_queued = 0;    ///< wait in the broker, of all clients
  std::uint64_t tasks_assigned = 0;  ///< are with a worker
  std::uint64_t tasks_finished = 0;  ///< since the broker's start
  std::vector<WorkerInfo> workers;
};

}  // namespace weft
