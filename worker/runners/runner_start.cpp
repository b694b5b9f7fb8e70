// SPDX-License-Identifier: MIT
#include "worker/runners/runner_start.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string_view>

#include "common/runner/runner_channel.hpp"
#include "common/runner/shipped_library.hpp"
#include "worker/core/limits.hpp"

namespace weft::worker {

namespace {

constexpr int kChannelFd = 3;  // in the runner
constexpr int kPageFd = 4;
constexpr int kExecutableFd = 5;
constexpr int kFirstOtherFd = kLoaderFd;  // the libraries, if any

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// The runner's environment, with the loader's variables, which the runner removes again
/// (common/runner/runner_libraries.hpp). Their values are put in front of those from the worker's
/// environment.
std::vector<std::string> environment_for(const RunnerOrder& order) {
  std::vector<std::string> out;
  std::string audit = order.library_names.empty() ? "" : kLoaderPath;
  std::string tunables = order.large_tls ? kTlsTunable : "";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("WEFT_")) continue;
    bool is_taken = false;
    for (auto [name, value] : {std::pair("LD_AUDIT=", &audit), std::pair("GLIBC_TUNABLES=", &tunables)}) {
      if (value->empty() || !text.starts_with(name)) continue;
      *value += ":" + std::string(text.substr(std::strlen(name)));
      is_taken = true;
    }
    if (!is_taken) out.emplace_back(text);
  }
  if (!audit.empty()) out.push_back("LD_AUDIT=" + audit);
  if (!tunables.empty()) out.push_back("GLIBC_TUNABLES=" + tunables);
  if (!order.library_names.empty())
    out.push_back(std::string(kLibrariesVariable) + "=" + order.library_names);
  out.push_back(std::string(runner::kEnvironment) + "=" + std::to_string(runner::kChannelVersion) + ":" +
                std::to_string(kChannelFd) + ":" + std::to_string(kPageFd));
  return out;
}

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

bool write_to(const Fd& file, std::string_view text) {
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Makes the kernel's OOM killer choose a runner before the agent. Where this is not allowed, the kernel
/// decides as usual.
void volunteer_for_oom() { write_to(Fd(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)), "500"); }

/// Arranges descriptors 0 to 5 and those of the libraries as a runner expects them, and closes all others.
void arrange_descriptors(const RunnerOrder& order) {
  std::vector<int> from(kFirstOtherFd + order.libraries);
  const int end = static_cast<int>(from.size());
  from[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (std::size_t i = 1; i < from.size(); ++i) from[i] = order.fds[RunnerOrder::line + i].get();
  // First moves them above the target range, so that none is overwritten before it has been copied.
  for (int& fd : from) fd = fcntl(fd, F_DUPFD_CLOEXEC, end);
  for (int fd = 0; fd < end; ++fd) {
    if (dup3(from[static_cast<std::size_t>(fd)], fd, fd == kExecutableFd ? O_CLOEXEC : 0) < 0) _exit(127);
  }
  if (syscall(SYS_close_range, end, ~0U, 0) < 0) {
    const rlimit& files = original_file_limit();
    for (int fd = end; fd < static_cast<int>(files.rlim_max) && fd < 1 << 20; ++fd) close(fd);
  }
}

}  // namespace

void become_runner(const RunnerOrder& order, pid_t reaper) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != reaper) _exit(127);  // the reaper died before the prctl() above
  reset_signals();
  volunteer_for_oom();
  if (order.cgroup() >= 0 && !write_to(Fd(openat(order.cgroup(), "cgroup.procs", O_WRONLY | O_CLOEXEC)), "0"))
    _exit(127);
  // A limit of 1, unlike 0, also suppresses a core_pattern that pipes to a program (core(5)).
  const rlimit no_core{1, 1};
  setrlimit(RLIMIT_CORE, &no_core);
  std::vector<std::string> argv = order.argv;
  std::vector<std::string> environment = environment_for(order);
  arrange_descriptors(order);
  setrlimit(RLIMIT_NOFILE, &original_file_limit());
  if (chdir(order.scratch.c_str()) < 0) say_and_exit("cannot enter the scratch directory");
  syscall(SYS_execveat, kExecutableFd, "", pointers(argv).data(), pointers(environment).data(),
          AT_EMPTY_PATH);
  say_and_exit("cannot execute it");
}

}  // namespace weft::worker
