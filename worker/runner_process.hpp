// SPDX-License-Identifier: MIT
// RunnerProcess: one runner as the agent sees it: its keeper, the channel, the shared memory, the ends of
// its stdout and stderr. It decides nothing. Nothing here blocks, but for the end of a process that was
// killed.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/crash_point.hpp"
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
    std::string library_names;   // of the program's own libraries, as WEFT_LIBRARIES has them; "": none
    std::vector<int> libraries;  // the loader's part, then they; open, and the caller's
    bool large_tls = false;      // more static thread-local memory than usual
    std::string scratch;         // made here, removed at the end
    int cgroup = -1;             // the folder of the cgroup that it enters; -1: none
  };
  struct Death {
    int signal = 0;
    int exit_code = 0;
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

  /// Sends to the runner, as soon as the channel has room, with descriptor `fd` (a copy is kept). It hears of
  /// it at the next flush().
  template <class M>
  void send(M message, int fd = -1) {
    Fd copy = copy_of(fd);
    if (queued_.empty() && channel_.send(message, copy.get()) == 0) {
      crash_point("worker.task_handed_over");
    } else {
      queued_.push_back({std::move(message), std::move(copy)});
    }
  }
  /// Sends what there is room for now, and wakes the runner if it sleeps.
  void flush();
  /// Messages that wait for room.
  std::size_t waiting() const { return queued_.size(); }
  /// The next message; kinds again and garbage as runner::Channel::receive says.
  runner::Received receive() { return channel_.receive(); }
  /// What woke us is read, so that a poll does not end at once again. False: it cannot wake us any more, and
  /// its socket is not to be polled.
  bool read_socket();
  /// From now on a message of the runner ends a poll. False: there is one.
  bool sleep() { return channel_.sleep(); }
  void awake() { channel_.awake(); }
  /// It cannot wake us: its end of the socket is closed, though it may go on.
  bool mute() const { return !socket_open_; }
  /// The runner sees the end of its channel.
  void end_channel();
  /// To its group; SIGKILL to all that descends from it.
  void kill(int signal);
  void request_stop(std::uint64_t ordinal);
  /// Takes back those of the tasks `first` to `last`, sent and not answered, that it has not begun: returns
  /// the last one that it has, or will. They are sent no more; the next one has the ordinal after that.
  std::uint64_t recall(std::uint64_t first, std::uint64_t last);
  /// What the page says: the ordinal of the last task begun, 0 before the first. Tasks can write to it.
  std::uint64_t started() const;
  Time started_at() const;

  /// Reads what it has printed, at most `bytes_max` of each pipe; log_output() gives it out.
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
  /// The same for what was printed up to these totals, read or not, and no further. A line that has no end by
  /// then ends there.
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
  /// Something was read and not given out.
  bool has_output() const { return !out_.text.empty() || !err_.text.empty(); }

  /// How it ended, once it has; then all that descends from it has ended as well.
  std::optional<Death> death();
  enum class Source : std::uint8_t { line, socket, output };
  struct Polled {
    int fd;
    Source source;
  };
  /// Descriptors to poll for reading, and what has to be called then: death(), read_socket(), read_output().
  std::vector<Polled> polls() const;
  int socket() const { return socket_.ours.get(); }

 private:
  struct Pipe {
    Fd fd;
    std::size_t index;  // in Page::output
    LineSplitter lines{};
    std::string text{};       // read and not given out
    std::uint64_t given = 0;  // bytes before it
  };
  struct Queued {
    runner::Message message;
    Fd fd;
  };
  /// Mapped, and gone with it.
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
  static std::uint64_t ordinal_of(std::uint64_t started);
  bool read_some(Pipe& pipe, std::uint64_t bytes_max);

  pid_t keeper_ = 0;
  std::optional<Death> death_;
  Fd line_;  // to the keeper
  Fd memory_fd_;
  Memory memory_;
  Ends socket_;
  bool socket_open_ = true;
  runner::Channel channel_;
  Pipe out_{.fd = {}, .index = 0};
  Pipe err_{.fd = {}, .index = 1};
  std::deque<Queued> queued_;  // the channel has no room
  std::string scratch_;
};

}  // namespace weft::worker
