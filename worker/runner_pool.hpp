// SPDX-License-Identifier: MIT
// RunnerPool: the shell's runners: performs the session's runner actions, and turns what processes
// say, print and do into events and log lines. It decides nothing. Owned by the shell's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/fifo.hpp"
#include "worker/blob_store.hpp"
#include "worker/cgroup.hpp"
#include "worker/events.hpp"
#include "worker/fork_server.hpp"
#include "worker/poller.hpp"
#include "worker/runner_process.hpp"

namespace weft::worker {

class RunnerPool {
 public:
  struct Settings {
    Uuid incarnation;                           // holder of results
    std::string worker;                         // its name, for tasks and log lines
    std::string runner_program;                 // weft-runner
    std::vector<std::string> libraries;         // that it loads, with folders
    std::optional<std::uint64_t> memory_limit;  // bytes, for each slot
    std::string directory;                      // scratch folders are made here
    std::vector<std::string> thread_variables;  // that say how many threads a task may use, if it does not
  };
  RunnerPool(Settings settings, ForkServer& server, BlobStore& blobs);

  /// Starts a process, or appends RunnerFailedToStart.
  void start(const StartRunner& action, std::vector<Event>& events);
  void run(const RunTask& action);
  void request_stop(const RequestStop& action);
  TasksRecalled recall(const RecallTasks& action);
  void end(const EndRunner& action);
  void kill(const KillRunner& action);
  /// Kills and reaps all of them.
  void clear();

  /// Readable when there is something to collect.
  int fd() const { return poller_.fd(); }
  /// Wakes the runners that were given tasks. From now on what they say ends a poll; false: one has said
  /// something.
  bool sleep();
  /// Everything that has happened, in the order in which it must be told; `waited`: nothing but time had;
  /// `readable`: fd() is.
  void collect(Time now, bool waited, bool readable, std::vector<Event>& events);
  /// When collect() has something to do by the clock.
  std::optional<Time> deadline() const;

 private:
  struct Runner {
    std::unique_ptr<RunnerProcess> process;
    RunnerId id = 0;
    std::uint32_t slot = 0;
    std::string program;
    std::optional<Program> restart;  // until it is ready: what may be started another way
    bool ready = false;
    std::vector<runner::FunctionEntry> functions;  // while its HELLO is incomplete
    Fifo<std::pair<std::uint64_t, TaskId>> tasks;  // sent and not answered, with their ordinals
    std::uint64_t told_started = 0;                // the last ordinal of a TaskStarted
    Tail tail;
    unsigned happened = 0;    // a bit for each RunnerProcess::Source that has something
    bool attended = false;    // it need not wake us: we look at it before we sleep
    bool broken = false;      // RunnerBroken was said
    bool unreadable = false;  // what it says makes no sense
  };

  std::unique_ptr<RunnerProcess> launch(const StartRunner& action);
  Bytes setup_of(const RunTask& action) const;
  std::string memory_text(std::uint64_t peak) const;
  void add_libraries(const Program& program, RunnerProcess::Launch& launch, std::vector<Fd>& copies);
  static void attend(Runner& runner);
  void take_happened();
  void look_at(Runner& runner, Time now, std::vector<Event>& events);
  void log_output(Runner& runner, const runner::TaskPrinted* until);
  bool read_channel(Runner& runner, std::vector<Event>& events);
  void receive(Runner& runner, runner::Received& received, std::vector<Event>& events);
  void on_done(Runner& runner, runner::TaskDone& done, Fd memory, std::vector<Event>& events);
  void look_at_page(Runner& runner, Time now, std::vector<Event>& events);
  void look_at_memory(Time now, std::vector<Event>& events);
  void bury(Runner& runner, const RunnerProcess::Death& death, std::vector<Event>& events);
  static void broken(Runner& runner, const std::string& text, std::vector<Event>& events);

  Settings settings_;
  ForkServer& server_;
  BlobStore& blobs_;
  std::unique_ptr<Cgroup> cgroup_;  // nullptr: no limit, or it is watched by look_at_memory()
  Poller poller_;
  std::map<RunnerId, Runner> runners_;
  std::size_t mute_ = 0;                            // runners that cannot wake us
  Time looked_{};                                   // at all of them
  Fd loader_;                                       // the loader's part, once it was needed
  std::set<std::vector<wire::FileRef>> large_tls_;  // libraries that need more thread-local memory
  std::optional<Time> memory_due_;
  std::int64_t collected_ms_ = 0;  // when we collected last, since 1970
};

}  // namespace weft::worker
