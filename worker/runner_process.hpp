// SPDX-License-Identifier: MIT
// RunnerProcess: one runner as the agent sees it: its keeper, the channel, the shared page, the ends of
// its stdout and stderr. It decides nothing. Nothing here blocks, but for the end of a process that was
// killed.
#pragma once

#include <sys/types.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "common/runner_channel.hpp"
#include "common/time.hpp"
#include "worker/lines.hpp"

namespace weft::worker {

class ForkServer;

class RunnerProcess {
 public:
  struct Launch {
    int executable = -1;  // open; stays the caller's. The very bytes behind it are executed.
    std::vector<std::string> argv;
    std::string library_path;  // in front of LD_LIBRARY_PATH; "": none
    std::string scratch;       // made here, removed at the end
    int cgroup = -1;           // the folder of the cgroup that it enters; -1: none
  };
  struct Death {
    int signal = 0;
    int exit_code = 0;
  };
  struct Poll {
    int fd;
    bool write;
  };

  /// Starts it. Throws std::system_error. What goes wrong after that is said on its stderr, and it
  /// ends with code 127.
  RunnerProcess(const Launch& launch, ForkServer& server);
  /// Kills it with all that descends from it, and waits for that.
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  /// All that descends from this process is the runner and what it has started. 0: not known yet.
  pid_t keeper() const { return keeper_; }

  /// Sends to the runner, as soon as the channel has room, with descriptor `fd` (a copy is kept).
  void send(runner::RunTask task, int fd = -1);
  /// The next message; kinds again, closed and garbage as runner::receive says. REQUIRES: not closed.
  runner::Received receive();
  /// The runner sees the end of its channel.
  void end_channel();
  /// To its group; SIGKILL to all that descends from it.
  void kill(int signal);
  void request_stop(std::uint64_t ordinal);
  /// What the page says: the ordinal of the last task begun, 0 before the first. Tasks can write to it.
  std::uint64_t started() const;
  Time started_at() const;

  /// Reads what it has printed, at most `bytes_max`, and calls `sink(line, is_stderr)`.
  template <class Sink>
  void read_output(std::size_t bytes_max, Sink&& sink) {
    std::string text;
    for (Pipe* pipe : {&out_, &err_}) {
      const auto line = [&](std::string_view content) { sink(content, pipe == &err_); };
      for (std::size_t room = bytes_max; room > 0 && read_some(*pipe, text);
           room -= std::min(room, text.size())) {
        pipe->lines.feed(text, line);
      }
      if (!pipe->fd) pipe->lines.finish(line);
    }
  }

  /// How it ended, once it has; then all that descends from it has ended as well.
  std::optional<Death> death();
  std::vector<Poll> polls() const;

 private:
  struct Pipe {
    Fd fd;
    LineSplitter lines;
  };
  struct Queued {
    runner::RunTask task;
    Fd fd;
  };

  static bool read_some(Pipe& pipe, std::string& text);
  void flush();

  pid_t keeper_ = 0;
  std::optional<Death> death_;
  Fd line_;  // to the keeper
  Fd channel_;
  bool channel_open_ = true;
  Pipe out_;
  Pipe err_;
  runner::Page* page_ = nullptr;
  std::deque<Queued> queued_;  // the channel is full
  std::string scratch_;
};

}  // namespace weft::worker
