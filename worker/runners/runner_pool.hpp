// SPDX-License-Identifier: MIT
// RunnerPool: the runner processes of the shell, with their descriptors and channels. It performs
// WorkerCore's runner actions, reads what runners send, print and show, and returns the events that follow.
// What is read when, and what it means, is decided by RunnerMonitor and PollPlan. Owned by the shell's
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/events.hpp"
#include "worker/runners/poll_plan.hpp"
#include "worker/runners/poller.hpp"
#include "worker/runners/runner_launcher.hpp"
#include "worker/runners/runner_monitor.hpp"
#include "worker/runners/runner_process.hpp"
#include "worker/store/blob_store.hpp"

namespace weft::worker {

class RunnerPool {
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
  void start(const StartRunner& action, std::vector<Event>& events);
  // Actions for a runner that has died are ignored: the event that tells WorkerCore is queued.
  void run(const RunTask& action);
  void request_stop(const RequestStop& action);
  TasksTakenBack take_back_unstarted(const TakeBackTasks& action);
  void end(const EndRunner& action);
  void kill(const KillRunner& action);
  /// Kills and reaps all runners.
  void clear();

  /// Readable when collect() has something to do.
  int fd() const { return poller_.fd(); }
  /// Prepares for a poll: wakes the runners that were given tasks, and asks all runners to wake us by fd().
  /// False: a message has arrived already, so do not wait.
  bool sleep();
  /// Appends everything that has happened, in order. `waited`: the poll has timed out; `readable`: fd() is
  /// readable.
  void collect(Time now, bool waited, bool readable, std::vector<Event>& events);
  /// When collect() has to be called although fd() is not readable.
  std::optional<Time> deadline() const { return plan_.deadline(); }

 private:
  struct Runner {
    RunnerMonitor monitor;
    std::unique_ptr<RunnerProcess> process{};
    std::optional<Program> restart{};  // until it is ready: for a second start with more static TLS
  };

  Runner* find(RunnerId id);
  void erase(const Runner& runner);
  static void keep_polling(Runner& runner);
  void take_ready_sources();
  void check_runner(Runner& runner, Time now, std::vector<Event>& events);
  void read_socket(Runner& runner);
  void read_message(Runner& runner, std::vector<Event>& events);
  void take_result(Runner& runner, runner::TaskDone& done, Fd memory, std::vector<Event>& events);
  void log_output(Runner& runner);
  void log_printed(Runner& runner, const runner::TaskPrinted& totals);
  void log_line(Runner& runner, const std::string& task, std::string_view line, bool is_stderr) const;
  void measure_memory(Time now, std::vector<Event>& events);
  void reap(Runner& runner, std::vector<Event>& events);

  Settings settings_;
  BlobStore& blobs_;
  RunnerLauncher launcher_;
  Poller poller_;
  PollPlan plan_;
  std::map<RunnerId, Runner> runners_;
  std::int64_t collected_ms_ = 0;  // time of the last collect(), since 1970
};

}  // namespace weft::worker
