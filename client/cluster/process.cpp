// SPDX-License-Identifier: MIT
#include "client/cluster/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sstream>

namespace weft::cluster {

namespace {

/// The content of a small file in /proc; "" if the process has ended, in which case a stream would throw.
std::string content_of(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[4096];
  const ssize_t got = read(file.get(), bytes, sizeof bytes);
  return {bytes, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

/// Fields 3 and following of /proc/PID/stat, after the name, which may contain any character; empty for a
/// process that does not exist or is a zombie.
std::vector<std::string> stat_fields(const std::string& pid) {
  const std::string text = content_of("/proc/" + pid + "/stat");
  const std::size_t behind_name = text.rfind(')');
  if (behind_name == std::string::npos) return {};
  std::istringstream words(text.substr(behind_name + 1));
  std::vector<std::string> out;
  for (std::string word; words >> word;) out.push_back(word);
  if (out.size() < 20 || out[0] == "Z" || out[0] == "X") return {};
  return out;
}
constexpr std::size_t kSession = 3;     // field 6
constexpr std::size_t kStartTime = 19;  // field 22

std::string boot_id() {
  const std::string text = content_of("/proc/sys/kernel/random/boot_id");
  return text.substr(0, text.find('\n'));
}

void for_each_in_session(pid_t session, const std::function<void(pid_t)>& use) {
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const auto fields = stat_fields(entry->d_name);
    if (!fields.empty() && fields[kSession] == std::to_string(session)) use(std::atoi(entry->d_name));
  }
  closedir(proc);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

void default_signals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Runs in the child; returns only on failure, with errno.
void become(const SpawnOrder& order, pid_t parent, char* const* argv, int report) {
  setsid();
  if (order.dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
  }
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int output = order.output < 0 ? null : order.output;
  if (dup2(order.input < 0 ? null : order.input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) return;
  default_signals();
  if (dup2(report, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0) return;
  syscall(SYS_close_range, 4, ~0U, 0);
  execvp(argv[0], argv);
}

}  // namespace

std::string identity_of(pid_t pid) {
  const auto fields = stat_fields(std::to_string(pid));
  return fields.empty() ? "" : fmt::format("{} {} {}", pid, fields[kStartTime], boot_id());
}

std::optional<pid_t> living(const std::string& identity) {
  const pid_t pid = std::atoi(identity.c_str());
  if (pid <= 0 || identity_of(pid) != identity) return std::nullopt;
  return pid;
}

bool session_has_processes(pid_t session) {
  bool found = false;
  for_each_in_session(session, [&](pid_t) { found = true; });
  return found;
}

void kill_session(pid_t session) {
  for_each_in_session(session, [](pid_t pid) { kill(pid, SIGKILL); });
}

pid_t spawn(const SpawnOrder& order) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) throw std::system_error(errno, std::system_category(), "pipe");
  const Fd reads(ends[0]);
  Fd writes(ends[1]);
  std::vector<std::string> words = order.argv;
  const std::vector<char*> argv = pointers(words);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (pid == 0) {
    become(order, parent, argv.data(), writes.get());
    const int error = errno;
    for (const int fd : {writes.get(), 3}) {  // the number of the pipe depends on where become() failed
      if (write(fd, &error, sizeof error) == sizeof error) break;
    }
    _exit(127);
  }
  writes.reset();
  int error = 0;
  ssize_t got = 0;
  do got = read(reads.get(), &error, sizeof error);
  while (got < 0 && errno == EINTR);
  if (got != sizeof error) return pid;
  waitpid(pid, nullptr, 0);
  throw std::system_error(error, std::system_category(), "cannot start " + order.argv[0]);
}

int signal_of(int wait_status) {
  if (WIFSIGNALED(wait_status)) return WTERMSIG(wait_status);
  const int code = WEXITSTATUS(wait_status);
  return code > 128 && code < 128 + NSIG ? code - 128 : 0;
}

std::string describe_exit(int wait_status) {
  const int number = signal_of(wait_status);
  if (number == 0) return fmt::format("left with exit code {}", WEXITSTATUS(wait_status));
  const char* name = sigabbrev_np(number);
  return name == nullptr ? fmt::format("was killed by signal {}", number)
                         : fmt::format("was killed by SIG{}", name);
}

}  // namespace weft::cluster
