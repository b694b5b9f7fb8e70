// SPDX-License-Identifier: MIT
#include "worker/runners/runner_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "common/runner/runner_loop.hpp"
#include "common/system/fd.hpp"

namespace weft::runner {
namespace {

constexpr std::size_t kPieceBytes = 64 << 10;  // bytes per read or write
constexpr std::size_t kTurnBytes = 1 << 20;    // bytes read from one pipe before the others get a turn

struct Pipe {
  Fd read;
  Fd write;
};

Pipe make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot make a pipe for the command");
  Pipe out{Fd(fds[0]), Fd(fds[1])};
  // In a process without stdin, stdout or stderr the pipe may get one of these numbers, and dup2() of a
  // descriptor onto itself would leave it close-on-exec.
  for (Fd* end : {&out.read, &out.write})
    if (end->get() <= 2) *end = Fd(fcntl(end->get(), F_DUPFD_CLOEXEC, 3));
  return out;
}

void make_nonblocking(const Fd& fd) { fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

/// A command that does not read its input must not kill the runner by SIGPIPE.
class IgnoreSigpipe {
 public:
  IgnoreSigpipe() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnoreSigpipe() { std::signal(SIGPIPE, before_); }
  IgnoreSigpipe(const IgnoreSigpipe&) = delete;
  IgnoreSigpipe& operator=(const IgnoreSigpipe&) = delete;

 private:
  void (*before_)(int);
};

/// Runs in the child between fork and exec, so it does not allocate. If exec fails, writes errno to `failed`.
[[noreturn]] void become(char* const* argv, int in, int out, int err, int failed, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before the prctl() above
  std::signal(SIGPIPE, SIG_DFL);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  execvp(argv[0], argv);
  const int why = errno;
  [[maybe_unused]] const auto written = write(failed, &why, sizeof why);
  _exit(127);
}

class Command {
 public:
  explicit Command(const detail::CommandRequest& request) : input_(request.input) { start(request); }
  CommandResult finish();

 private:
  void start(const detail::CommandRequest& request);
  void exchange();
  void feed();
  static void drain(Fd& from, std::string& to, std::size_t bytes_max);
  static void drain_rest(Fd& from, std::string& to);

  std::string_view input_;
  pid_t pid_ = -1;
  Fd exited_;  // a pidfd: readable once the child has ended; closed on kernels without pidfds
  Fd in_, out_, err_;
  CommandResult result_;
};

void Command::start(const detail::CommandRequest& request) {
  std::vector<char*> argv;
  for (const std::string& argument : request.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe(), failed = make_pipe();
  const pid_t self = getpid();
  pid_ = fork();
  if (pid_ < 0)
    throw std::system_error(errno, std::generic_category(), "cannot start a process for the command");
  if (pid_ == 0)
    become(argv.data(), in.read.get(), out.write.get(), err.write.get(), failed.write.get(), self);
  failed.write.reset();
  int why = 0;
  // This returns at once: either errno arrives, or a successful exec closes the pipe.
  while (read(failed.read.get(), &why, sizeof why) < 0 && errno == EINTR) continue;
  if (why != 0) {
    waitpid(pid_, nullptr, 0);
    throw Failure{"", "cannot run '" + request.argv[0] + "': " + std::strerror(why)};
  }
  exited_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  for (const Fd* fd : {&in_, &out_, &err_}) make_nonblocking(*fd);
}

/// Writes as much input as the pipe takes; closes it at the end of the input, or when the command no longer
/// reads it.
void Command::feed() {
  while (!input_.empty()) {
    const ssize_t size = write(in_.get(), input_.data(), std::min(input_.size(), kPieceBytes));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) break;
    input_.remove_prefix(static_cast<std::size_t>(size));
  }
  in_.reset();
}

/// Reads the available output, up to about `bytes_max`, since children of the command may write without end.
/// Closes the pipe at its end.
void Command::drain(Fd& from, std::string& to, std::size_t bytes_max) {
  static std::array<char, kPieceBytes> piece;
  for (std::size_t taken = 0; from && taken < bytes_max;) {
    const ssize_t size = read(from.get(), piece.data(), std::min(piece.size(), bytes_max - taken));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return from.reset();
    to.append(piece.data(), static_cast<std::size_t>(size));
    taken += static_cast<std::size_t>(size);
  }
}

/// After the command has ended: reads what is in the pipe. Later output comes from the command's children.
void Command::drain_rest(Fd& from, std::string& to) {
  int waiting = 0;
  if (from && ioctl(from.get(), FIONREAD, &waiting) == 0) drain(from, to, static_cast<std::size_t>(waiting));
}

/// Serves all three pipes at once, so that neither side can deadlock. Returns when the command has ended or,
/// without a pidfd, has closed its outputs.
void Command::exchange() {
  while (out_ || err_ || exited_) {
    std::array<pollfd, 4> polled = {{{in_.get(), POLLOUT, 0},
                                     {out_.get(), POLLIN, 0},
                                     {err_.get(), POLLIN, 0},
                                     {exited_.get(), POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;  // EINTR is the only possible error
    if (in_ && polled[0].revents != 0) feed();
    if (polled[1].revents != 0) drain(out_, result_.out, kTurnBytes);
    if (polled[2].revents != 0) drain(err_, result_.err, kTurnBytes);
    if (polled[3].revents != 0) break;
  }
  drain_rest(out_, result_.out);
  drain_rest(err_, result_.err);
}

CommandResult Command::finish() {
  exchange();
  in_.reset();
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  result_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return std::move(result_);
}

}  // namespace

CommandResult run_command(const detail::CommandRequest& request) {
  if (request.argv.empty() || request.argv[0].empty())
    throw Failure{"", "cannot run a command without a name"};
  const IgnoreSigpipe ignore;
  return Command(request).finish();
}

}  // namespace weft::runner
