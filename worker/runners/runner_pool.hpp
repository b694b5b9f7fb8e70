// SPDX-License-Identifier: MIT
// RunnerPool: the runner processes of the shell, with their descriptors and channels. It performs
// WorkerCore's runner actions, reads messages, output and pages of runners, and returns the events that
// follow. RunnerMonitor and PollPlan decide what is read, when, and what it means; RunnerDriver has the loop.
// Owned by the shell's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/events.hpp"
#include "worker/runners/poller.hpp"
#include "worker/runners/runner_driver.hpp"
#include "worker/runners/runner_launcher.hpp"
#include "worker/runners/runner_monitor.hpp"
#include "worker/runners/runner_process.hpp"
#include "worker/store/blob_store.hpp"

namespace weft::worker {

/// A runner of the pool.
struct PooledRunner {
  RunnerMonitor monitor;
  std::unique_ptr<RunnerProcess> process{};
  std::optional<Program> restart{};  // until it is ready: for a second start with more static TLS
};

class RunnerPool : public RunnerDriver<RunnerPool, PooledRunner> {
 public:
  struct Settings {
    Uuid incarnation;    // holder of results
    std::string worker;  // its name, for tasks and log lines
    RunnerLauncher::Settings launcher;
    // set to the number of threads of a task, unless its spec sets them
    std::vector<std::string> thread_variables;
  };
  RunnerPool(Settings settings, ForkServer& server, BlobStore& blobs);

  /// Starts a process, or appends RunnerFailedToStart.
  void start(const StartRunner& action, Events& events);
  /// Kills and reaps all runners.
  void clear();

  /// Readable when collect() has something to do.
  int fd() const { return poller_.fd(); }
  /// Appends everything that has happened, in order. `waited`: the poll has timed out; `readable`: fd() is
  /// readable.
  void collect(Time now, bool waited, bool readable, Events& events);

 private:
  friend class RunnerDriver<RunnerPool, PooledRunner>;
  using Runner = PooledRunner;

  // for RunnerDriver
  void send(Runner& runner, const RunTask& action);
  void on_socket_closed(Runner& runner);
  void read_output(Runner& runner, std::size_t bytes_max);
  void log_output(Runner& runner);
  void use(Runner& runner, RunnerMonitor::Use use, runner::Received received, Events& events);
  void reap(Runner& runner, Events& events);

  void take_ready_sources();
  void take_result(Runner& runner, runner::TaskDone& done, Fd memory, Events& events);
  void log_printed(Runner& runner, const runner::TaskPrinted& totals);
  void log_line(Runner& runner, const std::string& task, std::string_view line, bool is_stderr) const;
  void measure_memory(Time now, Events& events);

  Settings settings_;
  BlobStore& blobs_;
  RunnerLauncher launcher_;
  Poller poller_;
  std::int64_t collected_ms_ = 0;  // time of the last collect(), since 1970
};

}  // namespace weft::worker
