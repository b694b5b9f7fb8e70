// SPDX-License-Identifier: MIT
#include "common/runner/process_state.hpp"

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ext/stdio_filebuf.h>
#include <ext/stdio_sync_filebuf.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <typeinfo>
#include <utility>

namespace weft::runner {
namespace {

constexpr rlim_t kDescriptorsMax = 16'384;  // too many open descriptors, whatever the limit is
constexpr int kTimersMax = 10'000;          // timers of timer_create() that are searched for

/// The C library reserves two real-time signals.
bool can_be_handled(int signal) {
  return signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal >= SIGRTMIN);
}

std::uint64_t bit_of(int signal) { return std::uint64_t{1} << (signal - 1); }

/// The part of the set that the kernel uses.
std::uint64_t bits_of(const sigset_t& set) {
  std::uint64_t bits;
  static_assert(sizeof set >= sizeof bits);
  std::memcpy(&bits, &set, sizeof bits);
  return bits;
}

bool same(const struct sigaction& a, const struct sigaction& b) {
  constexpr int kFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |
                         static_cast<int>(SA_RESETHAND);
  return a.sa_handler == b.sa_handler && ((a.sa_flags ^ b.sa_flags) & kFlags) == 0;
}

int current_nice() {
  errno = 0;
  return getpriority(PRIO_PROCESS, 0);
}

/// The id of a timer that is created and deleted at once; -1: none can be created. Ids increase.
int timer_id() {
  sigevent none{};
  none.sigev_notify = SIGEV_NONE;
  int id = -1;
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id) != 0) return -1;
  syscall(SYS_timer_delete, id);
  return id;
}

/// Finds the hexadecimal number after `name` in a text of /proc.
bool find_number(const char* text, const char* name, std::uint64_t& number) {
  const char* at = std::strstr(text, name);
  if (at == nullptr) return false;
  number = std::strtoull(at + std::strlen(name), nullptr, 16);
  return true;
}

}  // namespace

// ---- the process ----

ProcessState::File ProcessState::File::of(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino, fcntl(fd, F_GETFL)};
}

ProcessState::ProcessState()
    : streams_{StreamState(std::cout), StreamState(std::cerr), StreamState(std::clog)},
      status_(open("/proc/self/status", O_RDONLY | O_CLOEXEC)) {
  for (int fd = 0; fd < 3; ++fd) {
    standard_[static_cast<std::size_t>(fd)] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    files_[static_cast<std::size_t>(fd)] = File::of(fd);
  }
  keep();
}

void ProcessState::keep() {
  restore_standard_descriptors();
  floating_point_ = FloatingPointState();
  environment_.keep();
  locale_ = LocaleState();
  thread_libraries_.keep();
  for (StreamState& stream : streams_) stream.keep();
  terminate_ = std::get_terminate();
  new_ = std::get_new_handler();
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked_);
  umask_ = umask(0);
  umask(umask_);
  for (int signal = 1; signal < NSIG; ++signal)
    sigaction(signal, nullptr, &dispositions_[static_cast<std::size_t>(signal)]);
  if (!read_masks(masks_)) masks_.caught = ~std::uint64_t{0};  // then check every signal
  if (directory_ >= 0) close(directory_);
  directory_ = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (char* path = getcwd(nullptr, 0)) {
    path_ = path;
    std::free(path);
  }
  for (int which = 0; which < 3; ++which) {
    itimerval timer{};
    getitimer(static_cast<__itimer_which>(which), &timer);
    timer_runs_[static_cast<std::size_t>(which)] = timerisset(&timer.it_value);
  }
  if (const int id = timer_id(); id >= 0) timer_next_ = id + 1;
  nice_ = current_nice();
  affinity_known_ = sched_getaffinity(0, sizeof affinity_, &affinity_) == 0;
  for (std::size_t i = 0; i < kLimits; ++i) getrlimit(static_cast<__rlimit_resource>(i), &limits_[i]);
  many_ = static_cast<int>(std::min(limits_[RLIMIT_NOFILE].rlim_cur / 2, kDescriptorsMax));
}

ProcessState::~ProcessState() {
  for (const int fd : {status_, directory_, standard_[0], standard_[1], standard_[2]})
    if (fd >= 0) close(fd);
}

void ProcessState::give_up(std::string why) {
  if (unusable_.empty()) unusable_ = std::move(why);
}

bool ProcessState::restore_kernel() {
  bool changed = restore_mask();
  if (umask(umask_) != umask_) changed = true;
  locale_.restore_all();
  for (StreamState& stream : streams_) stream.restore_all();
  std::set_terminate(terminate_);
  std::set_new_handler(new_);
  return changed;
}

bool ProcessState::restore_everything() {
  bool changed = restore_kernel();
  floating_point_.reset_x87();
  environment_.restore_texts();
  for (StreamState& stream : streams_) stream.restore_locale();
  changed = restore_dispositions() || changed;
  changed = restore_timers() || changed;
  changed = restore_directory() || changed;
  changed = restore_limits() || changed;
  changed = restore_affinity() || changed;
  changed = restore_standard_descriptors() || changed;
  look_at_descriptors();
  return changed;
}

// ---- signals ----

bool ProcessState::restore_mask() {
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  if (bits_of(now) == bits_of(blocked_)) return false;
  drop_pending();
  pthread_sigmask(SIG_SETMASK, &blocked_, nullptr);
  return true;
}

/// Drops pending signals: they were sent while the task blocked them, and were meant for that task. SIGTERM
/// is meant for the runner.
void ProcessState::drop_pending() const {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (!can_be_handled(signal) || signal == SIGTERM || sigismember(&pending, signal) != 1) continue;
    if (sigismember(&blocked_, signal) == 1) continue;
    sigaction(signal, &ignore, nullptr);
    sigaction(signal, &dispositions_[static_cast<std::size_t>(signal)], nullptr);
  }
}

/// One read reports for all signals whether they are ignored or caught.
bool ProcessState::read_masks(Masks& masks) const {
  std::array<char, 4096> text;
  const ssize_t size = status_ >= 0 ? pread(status_, text.data(), text.size() - 1, 0) : -1;
  if (size <= 0) return false;
  text[static_cast<std::size_t>(size)] = '\0';
  return find_number(text.data(), "\nSigIgn:", masks.ignored) &&
         find_number(text.data(), "\nSigCgt:", masks.caught);
}

bool ProcessState::restore_dispositions() {
  Masks now;
  std::uint64_t suspects = ~std::uint64_t{0};
  if (read_masks(now))
    suspects = (now.ignored ^ masks_.ignored) | (now.caught ^ masks_.caught) | masks_.caught;
  bool changed = false;
  for (int signal = 1; signal < NSIG; ++signal) {
    if ((suspects & bit_of(signal)) == 0 || !can_be_handled(signal)) continue;
    const struct sigaction& wanted = dispositions_[static_cast<std::size_t>(signal)];
    struct sigaction found {};
    sigaction(signal, nullptr, &found);
    if (same(found, wanted)) continue;
    sigaction(signal, &wanted, nullptr);
    changed = true;
  }
  return changed;
}

// ---- timers ----

bool ProcessState::restore_timers() {
  bool changed = false;
  for (int which = 0; which < 3; ++which) {
    if (timer_runs_[static_cast<std::size_t>(which)]) continue;
    const itimerval none{};
    itimerval found{};
    setitimer(static_cast<__itimer_which>(which), &none, &found);
    changed = changed || timerisset(&found.it_value);
  }
  if (timer_next_ < 0) return changed;
  const int id = timer_id();
  if (id < 0) return changed;
  // The id has advanced by more than our own probe: timers have been created. Deletes those that still exist.
  for (int made = std::max(timer_next_, id - kTimersMax); made < id; ++made)
    changed = syscall(SYS_timer_delete, made) == 0 || changed;
  timer_next_ = id + 1;
  return changed;
}

// ---- the rest ----

/// Also recreates the directory if a task has removed it.
bool ProcessState::restore_directory() {
  if (directory_ < 0) return false;
  struct stat here {};
  struct stat wanted {};
  if (fstat(directory_, &wanted) != 0) {
    give_up("a task has closed the descriptor of its directory");
    return true;
  }
  if (wanted.st_nlink == 0) {
    close(std::exchange(directory_, -1));
    if (mkdir(path_.c_str(), 0700) == 0) directory_ = open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_ < 0) give_up("a task has removed its directory " + path_);
  } else if (stat(".", &here) == 0 && here.st_ino == wanted.st_ino && here.st_dev == wanted.st_dev) {
    return false;
  }
  if (directory_ >= 0 && fchdir(directory_) != 0)
    give_up("cannot return to its directory " + path_ + ": " + std::strerror(errno));
  return true;
}

bool ProcessState::restore_limits() {
  bool changed = false;
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto which = static_cast<__rlimit_resource>(i);
    rlimit found{};
    getrlimit(which, &found);
    if (found.rlim_cur == limits_[i].rlim_cur && found.rlim_max == limits_[i].rlim_max) continue;
    changed = true;
    if (setrlimit(which, &limits_[i]) != 0)
      give_up("a task has lowered a resource limit (setrlimit), which cannot be undone");
  }
  if (current_nice() == nice_) return changed;
  if (setpriority(PRIO_PROCESS, 0, nice_) != 0)
    give_up("a task has lowered its priority (nice), which cannot be undone");
  return true;
}

bool ProcessState::restore_affinity() {
  cpu_set_t found{};
  if (!affinity_known_ || sched_getaffinity(0, sizeof found, &found) != 0) return false;
  if (CPU_EQUAL(&found, &affinity_)) return false;
  // If the affinity cannot be set, it may have been changed from outside (cpuset): then accept the new one.
  if (sched_setaffinity(0, sizeof affinity_, &affinity_) != 0) affinity_ = found;
  return true;
}

bool ProcessState::restore_standard_descriptors() {
  bool changed = false;
  for (int fd = 0; fd < 3; ++fd) {
    const File& wanted = files_[static_cast<std::size_t>(fd)];
    const int copy = standard_[static_cast<std::size_t>(fd)];
    if (copy < 0 || File::of(fd) == wanted) continue;
    changed = true;
    if (dup2(copy, fd) < 0) give_up("a task has closed the descriptors of its output");
    if (fcntl(fd, F_GETFL) != wanted.flags) fcntl(fd, F_SETFL, wanted.flags);
  }
  if (fileno(stdout) < 0 || fileno(stderr) < 0) give_up("a task has closed stdout or stderr (fclose)");
  return changed;
}

/// Descriptors that tasks leave open may still be in use, so they are not closed. When too many are open,
/// this process gives up before a later task runs out of descriptors.
void ProcessState::look_at_descriptors() {
  const int fd = fcntl(directory_, F_DUPFD_CLOEXEC, many_);
  if (fd >= 0) close(fd);
  if (fd != many_ && directory_ >= 0)
    give_up("tasks have left about " + std::to_string(many_) + " descriptors or more open");
}

}  // namespace weft::runner
