// SPDX-License-Identifier: MIT
// Settings of a client and of its tasks. Aggregates: name the fields that differ, in this order. (Each
// has an initialiser so that -Wmissing-field-initializers is content with that.) A duration of a century or
// more, such as milliseconds::max(), means for ever.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace weft {

/// How a Client finds its broker: weft::ClientOptions{.address = "node1:8786", .name = "grid"}.
struct ClientOptions {
  /// "host:port" or "tcp://host:port"; "": what $WEFT_BROKER says, else 127.0.0.1:8786.
  std::string address{};
  /// How long the constructor waits for a broker before it throws ConnectionError.
  std::chrono::milliseconds connect_timeout{10'000};
  /// How long a broker that was lost is waited for before every open future fails with ConnectionError.
  std::chrono::milliseconds give_up{60'000};
  /// Shown in status; "": program@host.
  std::string name{};
};

/// How tasks are run: client.with({.retries = 2, .timeout = 10s}).map<f>(inputs).
/// with() throws std::invalid_argument, naming the field, for what makes no sense.
struct TaskOptions {
  int priority = 0;                            ///< Higher goes first, among the tasks of one client.
  int retries = 0;                             ///< Executions again after the function failed or timed out.
  std::chrono::milliseconds retry_delay{0};    ///< Waited before each of them.
  std::chrono::milliseconds timeout{0};        ///< Running time of one execution, then TaskTimeout; 0: none.
  std::chrono::milliseconds queue_timeout{0};  ///< Waiting time, then TaskUnschedulable; 0: none.
  /// Executions in which worker or runner was lost until the task is a TaskCrashed; 1: at most once.
  /// Why 3: most such losses are not the task's doing (a host is rebooted, a neighbour takes all memory), and
  /// a task that kills what runs it must come to an end. Dask (allowed-failures 3) and Ray (max_retries 3)
  /// decide alike, but count the executions after the first. Each loss is logged when it happens.
  int crash_limit = 3;
  std::map<std::string, double> resources{};  ///< What a worker must have free, e.g. {{"gpu", 1}}.
  std::vector<std::string> workers{};         ///< Names or hosts that may run it; empty: any.
  std::string label{};                        ///< Shown in progress, status and errors.
  bool detach = false;                ///< Outlives the client. Needs a label, and a broker with a journal.
  std::vector<std::string> prefer{};  ///< Names or hosts to try first.
  /// Slots of one worker that a task takes. In it, libraries that start threads of their own (OpenMP,
  /// OpenBLAS, MKL, BLIS, ...) use so many, unless OMP_NUM_THREADS and kin say otherwise. With 1 they use as
  /// many as the worker has cores for each slot.
  int threads = 1;
  /// Working directory while the task runs, on the worker's host: it must exist there. A relative path begins
  /// in the scratch directory of the runner, which is also what "" means.
  std::string directory{};
  /// Variables that are set while the task runs, beside those of the worker.
  std::map<std::string, std::string> environment{};

  bool operator==(const TaskOptions&) const = default;
};

}  // namespace weft
