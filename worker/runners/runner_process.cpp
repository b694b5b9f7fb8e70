// SPDX-License-Identifier: MIT
#include "worker/runners/runner_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "common/system/crash_point.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/reaper.hpp"

namespace weft::worker {

namespace {

constexpr int kGoodbye_ms = 10'000;  // a reaper gives up earlier

}  // namespace

Fd RunnerProcess::make_memory() {
  Fd memory = checked(memfd_create("weft-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                      "cannot make the channel's memory");
  if (ftruncate(memory.get(), runner::kMemoryBytes) < 0)
    throw std::system_error(errno, std::system_category(), "cannot make the channel's memory");
  fcntl(memory.get(), F_ADD_SEALS,
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);  // if a task shrank it, the agent would die of SIGBUS
  return memory;
}

RunnerProcess::Memory::Memory(int fd)
    : memory_(mmap(nullptr, runner::kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {
  if (memory_ == MAP_FAILED)
    throw std::system_error(errno, std::system_category(), "cannot map the channel's memory");
  RunnerPage(memory_).initialise();
}

RunnerProcess::Memory::~Memory() { munmap(memory_, runner::kMemoryBytes); }

RunnerProcess::Ends RunnerProcess::make_socket() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the channel");
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

RunnerProcess::Ends RunnerProcess::make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    throw std::system_error(errno, std::system_category(), "cannot make a pipe");
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

RunnerProcess::RunnerProcess(const Launch& launch, ForkServer& server)
    : memory_fd_(make_memory()),
      memory_(memory_fd_.get()),
      socket_(make_socket()),
      bell_(socket_.ours.get()),
      channel_(bell_, memory_.get(), runner::Channel::Role::agent),
      scratch_(launch.scratch) {
  Ends line = make_socket();
  Ends out = make_pipe();
  Ends err = make_pipe();
  line_ = std::move(line.ours);
  out_.fd = std::move(out.ours);
  err_.fd = std::move(err.ours);
  Fd executable = checked(fcntl(launch.executable, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor");
  if (mkdir(scratch_.c_str(), 0700) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the scratch directory " + scratch_);
  }

  RunnerOrder order{{},         scratch_, launch.library_names, launch.libraries.size(), launch.large_tls,
                    launch.argv};
  for (Fd* fd : {&line.theirs, &out.theirs, &err.theirs, &socket_.theirs, &memory_fd_, &executable}) {
    order.fds.push_back(std::move(*fd));
  }
  for (const int library : launch.libraries)
    order.fds.push_back(checked(fcntl(library, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor"));
  if (launch.cgroup >= 0) {
    order.fds.push_back(checked(fcntl(launch.cgroup, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor"));
  }
  server.start(order);
}

RunnerProcess::~RunnerProcess() {
  if (!death_) {
    kill(SIGKILL);
    for (pollfd polled{line_.get(), POLLIN, 0}; !death() && ::poll(&polled, 1, kGoodbye_ms) != 0;) continue;
  }
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

void RunnerProcess::kill(int signal) {
  // If the reaper is gone, its descendants are gone too.
  [[maybe_unused]] const auto sent = ::send(line_.get(), &signal, sizeof signal, MSG_NOSIGNAL);
}

std::optional<RunnerProcess::Death> RunnerProcess::death() {
  while (!death_) {
    ReaperReport report;
    const ssize_t got = recv(line_.get(), &report, sizeof report, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got != sizeof report) {
      death_ = Death{SIGKILL, 0};  // the reaper was killed, and the runner with it
    } else if (report.kind == ReaperReport::Kind::ended) {
      death_ = Death{report.signal, report.exit_code};
    } else {
      reaper_ = report.reaper;
    }
  }
  return death_;
}

Fd RunnerProcess::copy_of(int fd) {
  return fd >= 0 ? checked(fcntl(fd, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor") : Fd();
}

void RunnerProcess::flush() {
  while (!queued_.empty()) {
    const int error = channel_.send(queued_.front().message, queued_.front().fd.get());
    if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) break;
    // Any other error: the runner is gone or dying, and the task is settled by its death.
    queued_.pop_front();
    crash_point("worker.task_handed_over");
  }
  channel_.wake();
}

bool RunnerProcess::read_socket() {
  if (socket_open_) socket_open_ = channel_.read_bell();
  return socket_open_;
}

void RunnerProcess::end_channel() { shutdown(socket_.ours.get(), SHUT_WR); }
void RunnerProcess::request_stop(std::uint64_t ordinal) { page().request_stop(ordinal); }

std::uint64_t RunnerProcess::take_back_unstarted(std::uint64_t first, std::uint64_t last) {
  const auto started = page().take_back(first, last);
  if (!started) return last;
  queued_.clear();
  send(runner::RunnerWelcome{});  // ends the messages in the ring that the runner must skip
  return *started;
}

/// Reads once. The page says when a read is going on and how many bytes have been read, since the runner may
/// wait for that number (OutputMeter).
bool RunnerProcess::read_some(Pipe& pipe, std::uint64_t bytes_max) {
  if (!pipe.fd) return false;
  const std::size_t before = pipe.text.size();
  pipe.text.resize(before + std::min<std::uint64_t>(bytes_max, 16 << 10));
  runner::Page::Output& output = memory_.page().output[pipe.index];
  output.reading.store(1);
  ssize_t got;
  do {
    got = read(pipe.fd.get(), pipe.text.data() + before, pipe.text.size() - before);
  } while (got < 0 && errno == EINTR);
  output.read.store(pipe.given + before + static_cast<std::uint64_t>(std::max<ssize_t>(got, 0)));
  output.reading.store(0);
  if (got == 0 || (got < 0 && errno != EAGAIN)) pipe.fd.reset();
  pipe.text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return got > 0;
}

void RunnerProcess::read_output(std::size_t bytes_max) {
  for (Pipe* pipe : {&out_, &err_}) {
    const std::size_t before = pipe->text.size();
    while (pipe->text.size() - before < bytes_max &&
           read_some(*pipe, bytes_max - (pipe->text.size() - before)))
      continue;
  }
}

std::vector<RunnerProcess::Polled> RunnerProcess::polls() const {
  std::vector<Polled> polls;
  if (!death_) polls.push_back({line_.get(), RunnerSource::line});
  if (socket_open_) polls.push_back({socket(), RunnerSource::socket});
  for (const Pipe* pipe : {&out_, &err_})
    if (pipe->fd) polls.push_back({pipe->fd.get(), RunnerSource::output});
  return polls;
}

}  // namespace weft::worker
