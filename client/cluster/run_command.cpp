// SPDX-License-Identifier: MIT
#include "client/cluster/run_command.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "client/cluster/binaries.hpp"
#include "client/cluster/private_cluster.hpp"
#include "common/system/fd.hpp"

namespace weft::cluster {

namespace {

constexpr const char* kUsage =
    "Usage: weft run [-n SLOTS] PROGRAM [ARGS]\n"
    "\n"
    "Starts a broker and a worker on this machine, runs the program with $WEFT_BROKER set to their address, "
    "and ends\n"
    "them when it has ended. -n: tasks that run at once (default: the cores). Signals are passed to the "
    "program; "
    "its exit\n"
    "code is that of weft run.\n";

struct Options {
  int slots = 0;
  std::vector<std::string> argv;
};

/// Parses the command line; nullopt: the usage is wrong.
std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  std::size_t next = 0;
  if (next < words.size() && words[next] == "-n") {
    char* end = nullptr;
    const long slots = next + 1 < words.size() ? std::strtol(words[next + 1].c_str(), &end, 10) : 0;
    if (slots < 1 || slots > 4096 || *end != '\0') return std::nullopt;
    options.slots = static_cast<int>(slots);
    next += 2;
  }
  if (next < words.size() && words[next] == "--") ++next;
  options.argv.assign(words.begin() + static_cast<std::ptrdiff_t>(next), words.end());
  if (options.argv.empty() || options.argv.front().starts_with("-")) return std::nullopt;
  return options;
}

/// The signals that are passed to the program, and SIGCHLD. While the cluster starts, they stay pending.
sigset_t forwarded_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD})
    sigaddset(&signals, number);
  return signals;
}

/// Runs in the child; does not return.
[[noreturn]] void become_program(const Options& options, const sigset_t& before, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  std::vector<std::string> words = options.argv;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const int error = errno;
  fmt::print(stderr, "weft: cannot run {}: {}\n", options.argv.front(), std::strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

/// Passes signals to the program until it ends; returns its wait status. Signals from the terminal reach the
/// program directly.
int await_program(pid_t program, const Fd& signals) {
  int status = 0;
  while (waitpid(program, &status, WNOHANG) == 0) {
    signalfd_siginfo info{};
    if (read(signals.get(), &info, sizeof info) != sizeof info || info.ssi_signo == SIGCHLD) continue;
    if (info.ssi_code != SI_KERNEL) kill(program, static_cast<int>(info.ssi_signo));
  }
  return status;
}

/// SIGINT or SIGTERM if it arrived before the program was started; 0: neither.
int early_end() {
  sigset_t pending;
  sigpending(&pending);
  for (const int number : {SIGINT, SIGTERM})
    if (sigismember(&pending, number) == 1) return number;
  return 0;
}

int run_program(const Options& options) {
  const sigset_t signals = forwarded_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const Fd arrivals = checked(signalfd(-1, &signals, SFD_CLOEXEC), "signalfd");
  const PrivateCluster cluster(1, options.slots, {}, find_binaries(own_directory()));
  if (const int number = early_end()) return 128 + number;
  setenv("WEFT_BROKER", cluster.address().c_str(), 1);
  const pid_t parent = getpid();
  const pid_t program = fork();
  if (program < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (program == 0) become_program(options, before, parent);
  const int status = await_program(program, arrivals);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int run_command(const std::vector<std::string>& words) {
  if (!words.empty() && (words.front() == "--help" || words.front() == "-h")) {
    fmt::print("{}", kUsage);
    return 0;
  }
  const auto options = parse(words);
  if (!options) {
    fmt::print(stderr, "weft: run needs a program, and -n a number of slots\n{}", kUsage);
    return 2;
  }
  try {
    return run_program(*options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft: {}\n", error.what());
    return 1;
  }
}

}  // namespace weft::cluster
