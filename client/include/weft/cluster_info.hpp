// SPDX-License-Identifier: MIT
// A snapshot of a cluster, as returned by Client::cluster().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weft {

/// One worker, as the broker knows it.
struct WorkerInfo {
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::string state;                        ///< idle, busy, draining or lost
  std::uint32_t slots = 0;                  ///< tasks of one thread that the worker runs at once
  std::uint32_t running = 0;                ///< slots that assigned tasks take (TaskOptions::threads each)
  std::uint64_t assigned = 0;               ///< tasks assigned to the worker, including queued ones
  std::uint64_t finished = 0;               ///< attempts that have ended since the worker joined
  std::map<std::string, double> resources;  ///< what the worker has, by name: {"gpu", 2}
  std::map<std::string, double> resources_free;  ///< the part that no assigned task has taken
};

/// One broker with its workers.
struct ClusterInfo {
  std::string version;      ///< of the broker
  std::uint64_t epoch = 0;  ///< changes when the broker restarts
  std::chrono::milliseconds uptime{0};
  std::uint32_t clients = 0;         ///< connected, or lost and still awaited
  std::uint32_t slots = 0;           ///< of all workers
  std::uint32_t slots_busy = 0;      ///< slots that assigned tasks take
  std::uint64_t tasks_queued = 0;    ///< queued in the broker, of all clients
  std::uint64_t tasks_assigned = 0;  ///< assigned to a worker
  std::uint64_t tasks_finished = 0;  ///< since the broker started
  std::vector<WorkerInfo> workers;
};

}  // namespace weft
