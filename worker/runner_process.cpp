// SPDX-License-Identifier: MIT
#include "worker/runner_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "common/crash_point.hpp"
#include "worker/fork_server.hpp"
#include "worker/keeper.hpp"

namespace weft::worker {

namespace {

constexpr int kGoodbye_ms = 10'000;  // a keeper gives up before that

std::pair<Fd, Fd> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the channel");
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::pair<Fd, Fd> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    throw std::system_error(errno, std::system_category(), "cannot make a pipe");
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

RunnerProcess::RunnerProcess(const Launch& launch, ForkServer& server) : scratch_(launch.scratch) {
  Fd page = checked(memfd_create("weft-page", MFD_CLOEXEC | MFD_ALLOW_SEALING), "cannot make the page");
  if (ftruncate(page.get(), runner::kPageBytes) < 0)
    throw std::system_error(errno, std::system_category(), "page");
  fcntl(page.get(), F_ADD_SEALS,
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);  // else a task could make us fault
  void* memory = mmap(nullptr, runner::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page.get(), 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::system_category(), "cannot map the page");
  page_ = static_cast<runner::Page*>(memory);
  page_->started.store(runner::kNoneStarted);

  auto [line, far_line] = make_channel();
  auto [channel, far_channel] = make_channel();
  auto [out, far_out] = make_pipe();
  auto [err, far_err] = make_pipe();
  line_ = std::move(line);
  channel_ = std::move(channel);
  out_.fd = std::move(out);
  err_.fd = std::move(err);
  Fd executable = checked(fcntl(launch.executable, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor");
  if (mkdir(scratch_.c_str(), 0700) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the scratch folder " + scratch_);
  }

  RunnerOrder order{{}, scratch_, launch.library_path, launch.argv};
  for (Fd* fd : {&far_line, &far_out, &far_err, &far_channel, &page, &executable}) {
    order.fds.push_back(std::move(*fd));
  }
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
  if (page_) munmap(page_, runner::kPageBytes);
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

void RunnerProcess::kill(int signal) {
  // One that is gone has taken all of it along.
  [[maybe_unused]] const auto sent = ::send(line_.get(), &signal, sizeof signal, MSG_NOSIGNAL);
}

std::optional<RunnerProcess::Death> RunnerProcess::death() {
  while (!death_) {
    KeeperReport report;
    const ssize_t got = recv(line_.get(), &report, sizeof report, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got != sizeof report) {
      death_ = Death{SIGKILL, 0};  // the keeper was killed, and the runner with it
    } else if (report.kind == KeeperReport::Kind::ended) {
      death_ = Death{report.signal, report.exit_code};
    } else {
      keeper_ = report.keeper;
    }
  }
  return death_;
}

void RunnerProcess::send(runner::RunTask task, int fd) {
  Fd copy = fd >= 0 ? checked(fcntl(fd, F_DUPFD_CLOEXEC, 0), "cannot copy a descriptor") : Fd();
  queued_.push_back({std::move(task), std::move(copy)});
  flush();
}

void RunnerProcess::flush() {
  while (!queued_.empty()) {
    const int error = runner::send(channel_.get(), queued_.front().task, queued_.front().fd.get());
    if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) return;
    // Any other error: the runner is gone or going, and its death says what becomes of the task.
    queued_.pop_front();
    crash_point("worker.task_handed_over");
  }
}

runner::Received RunnerProcess::receive() {
  flush();
  runner::Received received = runner::receive(channel_.get());
  using Kind = runner::Received::Kind;
  if (received.kind == Kind::closed || received.kind == Kind::garbage) channel_open_ = false;
  return received;
}

void RunnerProcess::end_channel() { shutdown(channel_.get(), SHUT_WR); }
void RunnerProcess::request_stop(std::uint64_t ordinal) { page_->stop.store(ordinal); }
std::uint64_t RunnerProcess::started() const {
  const std::uint64_t ordinal = page_->started.load(std::memory_order_acquire);
  if (ordinal == runner::kNoneStarted) return 0;
  return ordinal == 0 ? UINT64_MAX : ordinal;
}
Time RunnerProcess::started_at() const { return Time(Duration(page_->started_at_us.load())); }

bool RunnerProcess::read_some(Pipe& pipe, std::string& text) {
  if (!pipe.fd) return false;
  text.resize(16 << 10);
  ssize_t got;
  do {
    got = read(pipe.fd.get(), text.data(), text.size());
  } while (got < 0 && errno == EINTR);
  if (got == 0 || (got < 0 && errno != EAGAIN)) pipe.fd.reset();
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return got > 0;
}

std::vector<RunnerProcess::Poll> RunnerProcess::polls() const {
  std::vector<Poll> out;
  if (!death_) out.push_back({line_.get(), false});
  if (channel_open_) out.push_back({channel_.get(), !queued_.empty()});
  if (out_.fd) out.push_back({out_.fd.get(), false});
  if (err_.fd) out.push_back({err_.fd.get(), false});
  return out;
}

}  // namespace weft::worker
