// SPDX-License-Identifier: MIT
// The messages of status and detached tasks, and those of the `weft` command: questions to a broker, and
// answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/wire/records.hpp"

namespace weft::wire {

// ---- status: from any peer, without a HELLO ----

struct StatusRequest {
  bool details = false;
  bool operator==(const StatusRequest&) const = default;
};

struct WorkerStatus {
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::string state;
  std::uint32_t slots = 0;
  std::uint32_t running = 0;
  std::uint64_t assigned = 0;
  std::map<std::string, double> resources;
  std::map<std::string, double> resources_free;
  std::uint64_t finished = 0;
  std::uint64_t heard_ms_ago = 0;
  std::string note;
  bool operator==(const WorkerStatus&) const = default;
};

struct ClientStatus {
  std::string name;
  std::string host;
  std::string session;
  std::string state;
  std::uint64_t queued = 0;
  std::uint64_t assigned = 0;
  std::uint64_t finished = 0;
  bool operator==(const ClientStatus&) const = default;
};

/// Why some tasks wait although there are workers, in one sentence.
struct WaitingStatus {
  std::string client;
  std::string label;
  std::uint64_t tasks = 0;
  std::string reason;
  bool operator==(const WaitingStatus&) const = default;
};

struct Status {
  std::string version;
  std::uint64_t epoch = 0;
  std::uint64_t uptime_ms = 0;
  std::uint32_t workers = 0;
  std::uint32_t slots = 0;
  std::uint32_t slots_busy = 0;
  std::uint32_t clients = 0;
  std::uint64_t queued = 0;
  std::uint64_t assigned = 0;
  std::uint64_t finished = 0;
  std::uint64_t queued_bytes = 0;
  std::vector<WorkerStatus> worker_list;
  std::vector<ClientStatus> client_list;
  std::vector<WaitingStatus> waiting_list;
  std::vector<std::string> departed;
  bool operator==(const Status&) const = default;
};

// ---- detached tasks ----

/// These detached tasks are in the broker's journal: from now on they survive their client.
struct Journaled {
  std::vector<std::uint64_t> seqs;
  bool operator==(const Journaled&) const = default;
};

/// Asks which detached tasks have this label. From any peer, without a HELLO.
struct Find {
  std::string label;
  bool operator==(const Find&) const = default;
};

struct TaskRef {
  Uuid session;
  std::uint64_t seq = 0;
  bool operator==(const TaskRef&) const = default;
};
/// The program has fetched the answers of these detached tasks: the broker need not retain them.
struct Fetched {
  std::vector<TaskRef> tasks;
  bool operator==(const Fetched&) const = default;
};
/// A detached task with the label. `sweep`: position in Found::sweeps, from 1; 0: none.
struct FoundRecord {
  Uuid session;
  std::uint64_t seq = 0;
  std::uint32_t sweep = 0;
  bool finished = false;
  bool operator==(const FoundRecord&) const = default;
};
/// The tasks of one function that one client has submitted.
struct Sweep {
  Uuid session;
  std::string client;
  std::string host;
  std::string function;
  std::int64_t submitted_ms = 0;
  bool operator==(const Sweep&) const = default;
};
/// The answer to Find: `total` tasks, split into several messages if needed.
struct Found {
  std::string label;
  std::uint64_t total = 0;
  std::vector<FoundRecord> tasks;
  std::vector<Sweep> sweeps;
  bool operator==(const Found&) const = default;
};

// ---- from `weft`, without a HELLO ----

/// Asks a worker to finish its running tasks, accept no new ones, and leave.
struct DrainWorker {
  std::string worker;
  bool operator==(const DrainWorker&) const = default;
};
/// Asks why a task is in its current state.
struct Why {
  std::string task;
  bool operator==(const Why&) const = default;
};
/// The answer to DrainWorker and Why.
struct Answer {
  bool ok = false;
  std::string text;
  bool operator==(const Answer&) const = default;
};
/// Broker to worker: drain, as after SIGTERM.
struct Leave {
  bool operator==(const Leave&) const = default;
};

}  // namespace weft::wire
