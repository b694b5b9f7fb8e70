// SPDX-License-Identifier: MIT
// Options of a client and of its tasks. Both structs are aggregates: name the fields that differ from the
// default, in this order. (Each field has an initialiser, which avoids -Wmissing-field-initializers.) A
// duration of a century or more, such as milliseconds::max(), means for ever.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace weft {

/// How a Client finds its broker: weft::ClientOptions{.address = "node1:8786", .name = "grid"}.
struct ClientOptions {
  /// "host:port" or "tcp://host:port"; "": $WEFT_BROKER, or 127.0.0.1:8786 if the variable is not set.
  std::string address{};
  /// How long the constructor waits for a broker before it throws ConnectionError.
  std::chrono::milliseconds connect_timeout{10'000};
  /// How long to wait for a lost broker before every open future fails with ConnectionError.
  std::chrono::milliseconds give_up{60'000};
  /// Shown in `weft status`; "": program@host.
  std::string name{};
};

/// How tasks are run: client.with({.retries = 2, .timeout = 10s}).map<f>(inputs). with() throws
/// std::invalid_argument, which names the field, for invalid values.
struct TaskOptions {
  int priority = 0;                            ///< Higher goes first, among the tasks of one client.
  int retries = 0;                             ///< Further executions after a failure or timeout.
  std::chrono::milliseconds retry_delay{0};    ///< Delay before each retry.
  std::chrono::milliseconds timeout{0};        ///< Limit of the run time of an execution; 0: none.
  std::chrono::milliseconds queue_timeout{0};  ///< Limit of the queue time; 0: none.
  /// After this many executions in which worker or runner was lost, the task is a TaskCrashed; 1: run at most
  /// once. Why 3: most losses are not the task's fault (a host reboots, a neighbour takes all memory), but a
  /// task that kills its runners must end. Dask (allowed-failures 3) and Ray (max_retries 3) also choose 3,
  /// but count the executions after the first. Losses are logged on stderr, at most one line in 5 s.
  int crash_limit = 3;
  std::map<std::string, double> resources{};  ///< Needed from a worker, e.g. {{"gpu", 1}}.
  std::vector<std::string> workers{};         ///< Workers that may run it, by name or host; empty: any.
  std::string label{};                        ///< Shown in progress, status and errors.
  bool detach = false;  ///< The task outlives its client. Needs a label, and a broker with a journal.
  std::vector<std::string> prefer{};  ///< Workers, by name or host, to try first.
  /// Slots of one worker that a task takes. Libraries that start threads (OpenMP, OpenBLAS, MKL, BLIS, ...)
  /// use this many threads in the task, unless OMP_NUM_THREADS etc. are set. With 1 they use as many threads
  /// as the worker has cores per slot.
  int threads = 1;
  /// Working directory of the task, which must exist on the worker's host. A relative path is relative to the
  /// scratch directory of the runner; "" is the scratch directory.
  std::string directory{};
  /// Environment variables of the task, in addition to those of the worker.
  std::map<std::string, std::string> environment{};

  bool operator==(const TaskOptions&) const = default;
};

}  // namespace weft
