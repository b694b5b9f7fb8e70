// SPDX-License-Identifier: MIT
#include "worker/runner_process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "worker/limits.hpp"

namespace weft::worker {

namespace {

constexpr int kChannelFd = 3;  // in the runner
constexpr int kPageFd = 4;
constexpr int kExecutableFd = 5;
constexpr int kFirstOtherFd = 6;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_for(const std::string& library_path) {
  std::vector<std::string> out;
  std::string path = library_path;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("WEFT_")) continue;
    if (text.starts_with("LD_LIBRARY_PATH=") && !library_path.empty()) {
      path += ":" + std::string(text.substr(std::strlen("LD_LIBRARY_PATH=")));
      continue;
    }
    out.emplace_back(text);
  }
  if (!path.empty()) out.push_back("LD_LIBRARY_PATH=" + path);
  out.push_back(std::string(runner::kEnvironment) + "=" + std::to_string(runner::kChannelVersion) + ":" +
                std::to_string(kChannelFd) + ":" + std::to_string(kPageFd));
  return out;
}

/// Everything that the child needs, made before the fork: after it only system calls are safe.
struct Child {
  int fds[kFirstOtherFd];  // what becomes 0, 1, 2 ... there; all numbers above those
  const char* scratch;
  char** argv;
  char** environment;
  pid_t parent;
  rlimit files;
  int cgroup;
};

[[noreturn]] void say_and_exit(const char* what) {
  const char* why = strerrordesc_np(errno);
  for (const char* text : {what, ": ", why ? why : "unknown error", "\n"}) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  }
  _exit(127);
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// The kernel looks for memory among runners before it comes to the agent.
void volunteer_for_oom() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "500", 3) < 0) {
    // Not allowed here: then the kernel decides as usual.
  }
  close(fd);
}

[[noreturn]] void become_runner(const Child& child) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != child.parent) _exit(127);  // it died before that
  reset_signals();
  volunteer_for_oom();
  if (child.cgroup >= 0 && write(child.cgroup, "0", 1) < 0) _exit(127);
  // 1, not 0: that also keeps a core_pattern that pipes to a program from being run (core(5)).
  const rlimit no_core{1, 1};
  setrlimit(RLIMIT_CORE, &no_core);
  setrlimit(RLIMIT_NOFILE, &child.files);
  for (int fd = 0; fd < kFirstOtherFd; ++fd) {
    if (dup3(child.fds[fd], fd, fd == kExecutableFd ? O_CLOEXEC : 0) < 0) _exit(127);
  }
  if (syscall(SYS_close_range, kFirstOtherFd, ~0U, 0) < 0) {
    for (int fd = kFirstOtherFd; fd < static_cast<int>(child.files.rlim_max) && fd < 1 << 20; ++fd) close(fd);
  }
  if (chdir(child.scratch) < 0) say_and_exit("cannot enter the scratch folder");
  syscall(SYS_execveat, kExecutableFd, "", child.argv, child.environment, AT_EMPTY_PATH);
  say_and_exit("cannot execute it");
}

/// A copy above the numbers that descriptors have in the runner.
Fd lifted(int fd) { return checked(fcntl(fd, F_DUPFD_CLOEXEC, 64), "cannot copy a descriptor"); }

std::pair<Fd, Fd> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    throw std::system_error(errno, std::system_category(), "cannot make a pipe");
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

RunnerProcess::RunnerProcess(const Launch& launch) : scratch_(launch.scratch) {
  const Fd page = checked(memfd_create("weft-page", MFD_CLOEXEC | MFD_ALLOW_SEALING), "cannot make the page");
  if (ftruncate(page.get(), runner::kPageBytes) < 0)
    throw std::system_error(errno, std::system_category(), "page");
  fcntl(page.get(), F_ADD_SEALS,
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);  // else a task could make us fault
  void* memory = mmap(nullptr, runner::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page.get(), 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::system_category(), "cannot map the page");
  page_ = static_cast<runner::Page*>(memory);

  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the channel");
  }
  channel_ = Fd(ends[0]);
  const Fd far_channel(ends[1]);
  fcntl(channel_.get(), F_SETFL, O_NONBLOCK);
  auto [out, far_out] = make_pipe();
  auto [err, far_err] = make_pipe();
  out_.fd = std::move(out);
  err_.fd = std::move(err);
  const Fd null = checked(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
  if (mkdir(scratch_.c_str(), 0700) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot make the scratch folder " + scratch_);
  }

  std::vector<std::string> argv = launch.argv;
  std::vector<std::string> environment = environment_for(launch.library_path);
  const std::vector<char*> argv_pointers = pointers(argv);
  const std::vector<char*> environment_pointers = pointers(environment);
  std::vector<Fd> sources;
  Child child{{},
              scratch_.c_str(),
              const_cast<char**>(argv_pointers.data()),
              const_cast<char**>(environment_pointers.data()),
              getpid(),
              original_file_limit(),
              launch.cgroup};
  for (const int fd :
       {null.get(), far_out.get(), far_err.get(), far_channel.get(), page.get(), launch.executable}) {
    sources.push_back(lifted(fd));
    child.fds[sources.size() - 1] = sources.back().get();
  }

  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::system_category(), "cannot start a process");
  if (pid_ == 0) become_runner(child);
  pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
}

RunnerProcess::~RunnerProcess() {
  if (pid_ > 0 && !reaped_) {
    kill(SIGKILL);
    reap();
  }
  if (page_) munmap(page_, runner::kPageBytes);
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

void RunnerProcess::kill(int signal) {
  if (pid_ <= 0 || reaped_) return;
  // Before its setsid() there is no group of its own.
  if (::kill(-pid_, signal) < 0) ::kill(pid_, signal);
}

std::optional<RunnerProcess::Death> RunnerProcess::death() {
  if (death_) return death_;
  siginfo_t info{};
  // Not reaped yet: its number, which is that of its group, must not be given to somebody else.
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
    return {};
  kill(SIGKILL);
  reap();
  return death_;
}

void RunnerProcess::reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  death_ = WIFSIGNALED(status) ? Death{WTERMSIG(status), 0} : Death{0, WEXITSTATUS(status)};
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
std::uint64_t RunnerProcess::started() const { return page_->started.load(std::memory_order_acquire); }
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
  if (pidfd_ && !death_) out.push_back({pidfd_.get(), false});
  if (channel_open_) out.push_back({channel_.get(), !queued_.empty()});
  if (out_.fd) out.push_back({out_.fd.get(), false});
  if (err_.fd) out.push_back({err_.fd.get(), false});
  return out;
}

}  // namespace weft::worker
