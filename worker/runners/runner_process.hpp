// SPDX-License-Identifier: MIT
// RunnerProcess: the agent's side of one runner: the line to its reaper, the channel, the shared memory, its
// stdout and stderr. Nothing here blocks, except the wait for the end of a killed process in the destructor.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.hpp"
#include "common/runner/runner_channel.hpp"
#include "common/runner/socket_bell.hpp"
#include "common/system/crash_point.hpp"
#include "common/system/fd.hpp"
#include "worker/runners/lines.hpp"
#include "worker/runners/runner_page.hpp"
#include "worker/runners/runner_source.hpp"

namespace weft::worker {

class ForkServer;

class RunnerProcess {
 public:
  struct Launch {
    int executable = -1;  // open, owned by the caller; exactly the bytes behind it are executed
    std::vector<std::string> argv;
    std::string library_names;   // value of WEFT_LIBRARIES for the shipped libraries; "": none
    std::vector<int> libraries;  // the loader's auditor, then the libraries; open, owned by the caller
    bool large_tls = false;      // start it with more static TLS
    std::string scratch;         // created by the constructor, removed by the destructor
    int cgroup = -1;             // directory of the cgroup that it enters; -1: none
  };
  struct Death {
    int signal = 0;
    int exit_code = 0;
  };
  /// Starts the process. Throws std::system_error. Later failures are written to its stderr, and it ends with
  /// code 127.
  RunnerProcess(const Launch& launch, ForkServer& server);
  /// Kills the process with all its descendants, and waits for their end.
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  /// Pid of the reaper, whose descendants are the runner and everything that it has started. 0: not known
  /// yet.
  pid_t reaper() const { return reaper_; }

  /// Sends `message` with a copy of descriptor `fd`, as soon as the channel has room. The runner is woken by
  /// the next flush().
  template <class M>
  void send(M message, int fd = -1) {
    Fd copy = copy_of(fd);
    if (queued_.empty() && channel_.send(message, copy.get()) == 0) {
      crash_point("worker.task_handed_over");
    } else {
      queued_.push_back({std::move(message), std::move(copy)});
    }
  }
  /// Sends queued messages as far as there is room, and wakes the runner if it sleeps.
  void flush();
  /// Number of messages that wait for room in the channel.
  std::size_t waiting() const { return queued_.size(); }
  /// The next message; `again` and `garbage` as in runner::Channel::receive().
  runner::Received receive() { return channel_.receive(); }
  /// Consumes the wake-up, so that the next poll does not return at once. False: the runner's end is closed,
  /// so it cannot wake us any more and the socket must not be polled.
  bool read_socket();
  /// Asks the runner to wake us for its next message. False: a message has arrived already.
  bool sleep() { return channel_.sleep(); }
  void awake() { channel_.awake(); }
  /// Closes the agent's direction of the channel: the runner exits when it has read everything.
  void end_channel();
  /// Sends `signal` to the runner's process group; SIGKILL ends all its descendants.
  void kill(int signal);
  void request_stop(std::uint64_t ordinal);
  void withdraw_stop(std::uint64_t ordinal) { page().withdraw_stop(ordinal); }
  /// Takes back those of the tasks `first` to `last`, all sent and not answered, that the runner has not
  /// started. Returns the last ordinal that it keeps; the next task sent has the ordinal after that.
  std::uint64_t take_back_unstarted(std::uint64_t first, std::uint64_t last);
  /// Read from the page, to which tasks can write: the ordinal of the last task started, 0 before the first.
  std::uint64_t started() const { return page().started(); }
  Time started_at() const { return page().started_at(); }

  /// Reads the runner's output, at most `bytes_max` of each pipe, for log_output().
  void read_output(std::size_t bytes_max);
  /// Calls `sink(line, is_stderr)` for each line that was read.
  template <class Sink>
  void log_output(Sink&& sink) {
    for (Pipe* pipe : {&out_, &err_}) {
      const auto line = [&](std::string_view content) { sink(content, pipe == &err_); };
      pipe->lines.feed(pipe->text, line);
      pipe->given += pipe->text.size();
      pipe->text.clear();
      if (!pipe->fd) pipe->lines.finish(line);
    }
  }
  /// The same for the output up to these totals, which is read first if necessary, and no further. An
  /// unfinished line ends there.
  template <class Sink>
  void log_output_until(const runner::TaskPrinted& totals, Sink&& sink) {
    for (Pipe* pipe : {&out_, &err_}) {
      const auto line = [&](std::string_view content) { sink(content, pipe == &err_); };
      const std::uint64_t total = pipe == &err_ ? totals.err : totals.out;
      if (total < pipe->given) continue;
      while (pipe->given + pipe->text.size() < total &&
             read_some(*pipe, total - pipe->given - pipe->text.size()))
        continue;
      const std::size_t size = std::min<std::uint64_t>(total - pipe->given, pipe->text.size());
      pipe->lines.feed(std::string_view(pipe->text).substr(0, size), line);
      pipe->lines.finish(line);
      pipe->given += size;
      pipe->text.erase(0, size);
    }
  }
  /// Output has been read that log_output() has not emitted.
  bool has_output() const { return !out_.text.empty() || !err_.text.empty(); }

  /// How the runner ended, once it and all its descendants have ended.
  std::optional<Death> death();
  struct Polled {
    int fd;
    RunnerSource source;
  };
  /// Descriptors to poll for reading, and, by `source`, what to call then: death(), read_socket() or
  /// read_output().
  std::vector<Polled> polls() const;
  int socket() const { return socket_.ours.get(); }

 private:
  struct Pipe {
    Fd fd;
    std::size_t index;  // in Page::output
    LineSplitter lines{};
    std::string text{};       // read and not yet emitted
    std::uint64_t given = 0;  // number of bytes emitted before `text`
  };
  struct Queued {
    runner::Message message;
    Fd fd;
  };
  /// The mapping of the shared memory.
  class Memory {
   public:
    explicit Memory(int fd);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    void* get() const { return memory_; }
    runner::Page& page() const { return *static_cast<runner::Page*>(memory_); }

   private:
    void* memory_;
  };
  struct Ends {
    Fd ours;
    Fd theirs;
  };

  static Fd copy_of(int fd);
  static Fd make_memory();
  static Ends make_socket();
  static Ends make_pipe();
  RunnerPage page() const { return RunnerPage(memory_.get()); }
  bool read_some(Pipe& pipe, std::uint64_t bytes_max);

  pid_t reaper_ = 0;
  std::optional<Death> death_;
  Fd line_;  // to the reaper
  Fd memory_fd_;
  Memory memory_;
  Ends socket_;
  bool socket_open_ = true;
  runner::SocketBell bell_;
  runner::Channel channel_;
  Pipe out_{.fd = {}, .index = 0};
  Pipe err_{.fd = {}, .index = 1};
  std::deque<Queued> queued_;  // messages for which the channel has no room
  std::string scratch_;
};

}  // namespace weft::worker
