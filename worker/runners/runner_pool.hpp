// SPDX-License-Identifier: MIT
// RunnerPool: the runner processes of the shell. It performs the session's runner actions, and turns the
// messages, output and deaths of processes into events and log lines. Owned by the shell's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/fifo.hpp"
#include "worker/core/events.hpp"
#include "worker/runners/cgroup.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/poller.hpp"
#include "worker/runners/runner_process.hpp"
#include "worker/store/blob_store.hpp"

namespace weft::worker {

class RunnerPool {
 public:
  struct Settings {
    Uuid incarnation;                           // holder of results
    std::string worker;                         // its name, for tasks and log lines
    std::string runner_program;                 // weft-runner
    std::vector<std::string> libraries;         // paths of the task libraries that weft-runner loads
    std::optional<std::uint64_t> memory_limit;  // bytes, for each slot
    std::string directory;                      // parent of the scratch directories
    // set to the number of threads of a task, unless its spec sets them
    std::vector<std::string> thread_variables;
  };
  RunnerPool(Settings settings, ForkServer& server, BlobStore& blobs);

  /// Starts a process, or appends RunnerFailedToStart.
  void start(const StartRunner& action, std::vector<Event>& events);
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
  /// Appends everything that has happened, in order. `waited`: the poll with_timeout out; `readable`: fd() is
  /// readable.
  void collect(Time now, bool waited, bool readable, std::vector<Event>& events);
  /// When collect() has to be called although fd() is not readable.
  std::optional<Time> deadline() const;

 private:
  struct Runner {
    std::unique_ptr<RunnerProcess> process;
    RunnerId id = 0;
    std::uint32_t slot = 0;
    std::string program;
    std::optional<Program> restart;  // until it is ready: for a second start with more static TLS
    bool ready = false;
    std::vector<runner::FunctionEntry> functions;  // the parts of an incomplete HELLO
    Fifo<std::pair<std::uint64_t, TaskId>> tasks;  // tasks sent and not answered, with their ordinals
    std::uint64_t last_started = 0;                // ordinal of the last TaskStarted
    Tail tail;
    unsigned ready_sources = 0;  // a bit for each ready RunnerProcess::Source
    bool being_polled = false;   // it need not wake us: it is checked before every wait
    bool broken = false;         // RunnerBroken was reported
    bool unreadable = false;     // it sent a malformed message: nothing more is read
  };

  std::unique_ptr<RunnerProcess> launch(const StartRunner& action);
  Bytes setup_of(const RunTask& action) const;
  std::string memory_text(std::uint64_t peak) const;
  void add_libraries(const Program& program, RunnerProcess::Launch& launch, std::vector<Fd>& copies);
  static void keep_polling(Runner& runner);
  void take_ready_sources();
  void check_runner(Runner& runner, Time now, std::vector<Event>& events);
  void log_output(Runner& runner, const runner::TaskPrinted* until);
  bool read_channel(Runner& runner, std::vector<Event>& events);
  void receive(Runner& runner, runner::Received& received, std::vector<Event>& events);
  void on_done(Runner& runner, runner::TaskDone& done, Fd memory, std::vector<Event>& events);
  void check_page(Runner& runner, Time now, std::vector<Event>& events);
  void check_memory(Time now, std::vector<Event>& events);
  void reap(Runner& runner, const RunnerProcess::Death& death, std::vector<Event>& events);
  static void broken(Runner& runner, const std::string& text, std::vector<Event>& events);

  Settings settings_;
  ForkServer& server_;
  BlobStore& blobs_;
  std::unique_ptr<Cgroup> cgroup_;  // nullptr: no limit, or it is enforced by polling
  Poller poller_;
  std::map<RunnerId, Runner> runners_;
  std::size_t unpollable_ = 0;                      // runners that cannot wake us
  Time checked_at_{};                               // when all runners were last checked
  Fd loader_;                                       // the loader's auditor, once it has been needed
  std::set<std::vector<wire::FileRef>> large_tls_;  // libraries that need more static TLS
  std::optional<Time> memory_due_;
  std::int64_t collected_ms_ = 0;  // time of the last collect(), since 1970
};

}  // namespace weft::worker
