// SPDX-License-Identifier: MIT
#include "worker/runners/fork_server.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <set>
#include <string>

namespace weft::worker {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSocketFd = 3;  // in the server
constexpr std::size_t kOrderBytesMax = 64 << 10;
constexpr std::size_t kDescriptorsMax = 253;       // the kernel's maximum in one message (SCM_MAX_FD)
constexpr auto kGiveUp = std::chrono::seconds(7);  // at the end; reapers give up earlier
constexpr int kLookAgain_ms = 10;  // at the end: an adopted child is not announced by a signal

// ---- orders: NUL-terminated strings, and the descriptors ----

/// Returns 0 or errno.
int send_order(int socket, const RunnerOrder& order) {
  std::string text;
  const std::string libraries = std::to_string(order.libraries) + (order.large_tls ? "+" : "");
  for (const std::string* field : {&order.scratch, &order.library_names, &libraries})
    text.append(field->c_str()) += '\0';
  for (const std::string& argument : order.argv) text.append(argument.c_str()) += '\0';
  if (text.size() > kOrderBytesMax || order.fds.size() > kDescriptorsMax) return E2BIG;
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(order.fds.size() * sizeof(int));
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(order.fds.size() * sizeof(int));
  for (std::size_t i = 0; i < order.fds.size(); ++i) {
    const int fd = order.fds[i].get();
    std::memcpy(CMSG_DATA(part) + i * sizeof fd, &fd, sizeof fd);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

/// nullopt: the agent is gone.
std::optional<RunnerOrder> receive_order(int socket) {
  std::string text(kOrderBytesMax, '\0');
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))];
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  RunnerOrder order;
  if (const cmsghdr* part = CMSG_FIRSTHDR(&header)) {
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      order.fds.emplace_back(fd);
    }
  }
  std::vector<std::string> texts;
  for (const char* at = text.data(); at < text.data() + got; at += texts.back().size() + 1) {
    texts.emplace_back(at);
  }
  order.scratch = texts.at(0);
  order.library_names = texts.at(1);
  order.libraries = std::stoul(texts.at(2));
  order.large_tls = texts.at(2).ends_with('+');
  order.argv.assign(texts.begin() + 3, texts.end());
  return order;
}

// ---- the server ----

class Server {
 public:
  void run();

 private:
  void start(RunnerOrder order);
  void reap();
  bool kill_strays() const;

  std::set<pid_t> reapers_;
};

void Server::run() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const Fd children(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  std::optional<Clock::time_point> end;  // the agent is gone, which the reapers notice too
  for (bool any = false; !end || (any && Clock::now() < *end); any = kill_strays()) {
    pollfd polled[] = {{end ? -1 : kSocketFd, POLLIN, 0}, {children.get(), POLLIN, 0}};
    if (poll(polled, 2, end ? kLookAgain_ms : -1) < 0) continue;
    if (polled[0].revents != 0) {
      if (auto order = receive_order(kSocketFd))
        start(std::move(*order));
      else
        end = Clock::now() + kGiveUp;
    }
    signalfd_siginfo info{};
    while (read(children.get(), &info, sizeof info) > 0) continue;
    reap();
  }
}

void Server::start(RunnerOrder order) {
  if (order.fds.size() < RunnerOrder::fixed_places + order.libraries)
    return;  // no descriptors were left: the agent sees the end of the line
  const pid_t pid = fork();
  if (pid == 0) {
    close(kSocketFd);
    run_reaper(std::move(order));
  }
  if (pid < 0) return report_failure(order);
  reapers_.insert(pid);
}

void Server::reap() {
  for (pid_t pid = 0; (pid = waitpid(-1, nullptr, WNOHANG | __WALL)) > 0;) reapers_.erase(pid);
}

/// Kills leftover processes: children other than reapers were left by a reaper that was killed. Returns
/// whether any child can still end.
bool Server::kill_strays() const {
  bool any = !reapers_.empty();
  for (const pid_t child : own_children())
    if (!reapers_.contains(child)) any = kill(child, SIGKILL) == 0 || errno != EPERM || any;
  return any;
}

[[noreturn]] void serve(int socket) {
  setsid();  // Ctrl-C and the end of a login session reach the agent alone, which then closes the socket
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) std::signal(signal, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "weft-forkserver");
  const Fd null(open("/dev/null", O_RDWR));
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
  dup2(socket, kSocketFd);
  syscall(SYS_close_range, kSocketFd + 1, ~0U, 0);
  Server().run();
  _exit(0);
}

}  // namespace

ForkServer::ForkServer() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the socket of the fork server");
  }
  socket_ = Fd(ends[0]);
  const Fd far(ends[1]);
  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::system_category(), "cannot start the fork server");
  if (pid_ == 0) {
    socket_.reset();
    serve(far.get());
  }
}

ForkServer::~ForkServer() {
  socket_.reset();
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

void ForkServer::start(const RunnerOrder& order) {
  if (const int error = send_order(socket_.get(), order)) {
    throw std::system_error(error, std::system_category(), "cannot start a process");
  }
}

}  // namespace weft::worker
