// SPDX-License-Identifier: MIT
// ProcessState: the state of a runner process that every task starts with. A task may change it (rounding
// mode, signal mask, umask, locale ...) without affecting the next one, since the runner restores it in
// between. A runner whose state cannot be restored exits, and the worker replaces it.
//
// Two kinds of state, by the cost of checking them:
//   - State in the memory of the process is compared after every task (restore_memory, about 15 ns).
//   - State in the kernel costs system calls. A task that took less time than the cheapest system call has
//     not made any (CallGate). After other tasks signal mask and umask are restored (restore_kernel, two
//     calls). After long tasks, and after functions that are new or known to leave changes behind, everything
//     is restored (restore_everything, some 50 calls, 5 us).
#pragma once

#include <locale.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cfenv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <exception>
#include <iostream>
#include <locale>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "common/runner/thread_libraries.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace weft::runner {

/// The floating-point environment: rounding, exception masks and flags, flush to zero, x87 precision.
class FloatingPointState {
 public:
  void restore() const {
#if defined(__x86_64__)
    if (_mm_getcsr() != mxcsr_) _mm_setcsr(mxcsr_);
    if (const X87 now = X87::now(); now.control != x87_.control || now.status != x87_.status) reset_x87();
#else
    fesetenv(&environment_);
#endif
  }
  /// Also clears MMX registers that were left in use. REQUIRES: the x87 stack holds no value.
  void reset_x87() const;

 private:
#if defined(__x86_64__)
  struct X87 {
    std::uint16_t control = 0;
    std::uint16_t status = 0;  // exceptions and top of the stack
    static X87 now() {
      X87 out;
      asm volatile("fnstcw %0" : "=m"(out.control));
      asm volatile("fnstsw %0" : "=a"(out.status));
      out.status &= 0x38ff;  // masks out the condition codes
      return out;
    }
  };
  std::uint32_t mxcsr_ = _mm_getcsr();
  X87 x87_ = X87::now();
#else
  static std::fenv_t now() {
    std::fenv_t out;
    std::fegetenv(&out);
    return out;
  }
  std::fenv_t environment_ = now();
#endif
};

/// The environment variables, copied to memory that this object owns.
class EnvironmentState {
 public:
  EnvironmentState() { keep(); }
  EnvironmentState(const EnvironmentState&) = delete;
  EnvironmentState& operator=(const EnvironmentState&) = delete;

  /// Saves the current environment. Pointers from earlier getenv() calls stay valid.
  void keep();
  /// Undoes setenv(), unsetenv() and putenv().
  void restore() {
    if (environ != array_.data() || std::memcmp(environ, wanted_.data(), bytes()) != 0) put_back();
  }
  /// Also undoes writes into the strings themselves.
  void restore_texts();

 private:
  std::size_t bytes() const { return wanted_.size() * sizeof wanted_[0]; }
  void put_back();

  // One text for each keep(): `wanted_` points into the last, old pointers of getenv() into earlier ones.
  std::vector<std::unique_ptr<std::string>> texts_;
  std::string texts_before_;   // a copy of the last text
  std::vector<char*> wanted_;  // ends in nullptr
  std::vector<char*> array_;   // `environ` points to it; a task may change it
};

/// The C locale, the locale of this thread, and the C++ locale.
class LocaleState {
 public:
  LocaleState();
  void restore_thread() {
    if (uselocale(nullptr) != thread_) put_back();
  }
  void restore() {
    if (std::locale() != global_) put_back();
  }
  /// Also the C locale, which changes only by a call that takes longer than a system call.
  void restore_all() {
    if (setlocale(LC_ALL, nullptr) != current_) put_back();
    restore();
  }

 private:
  void put_back();

  std::string name_;
  const char* current_;  // the C library's pointer to the locale's name
  locale_t thread_;
  std::locale global_;
};

/// The state of a standard stream: format, buffer, error state.
class StreamState {
 public:
  explicit StreamState(std::ostream& stream) : stream_(stream) { keep(); }
  void keep();
  void restore() {
    if (stream_.flags() != flags_ || stream_.precision() != precision_ || stream_.fill() != fill_ ||
        stream_.rdstate() != std::ios_base::goodbit)
      put_back();
  }
  /// Also its exception mask and tie().
  void restore_all() {
    if (stream_.exceptions() != exceptions_ || stream_.tie() != tie_) put_back();
    restore();
  }
  void restore_locale() {
    if (stream_.getloc() != locale_) stream_.imbue(locale_);
  }
  /// Does not touch the buffer that a task has installed, since that buffer may have been destroyed.
  void restore_buffer() {
    if (stream_.rdbuf() != buffer_) put_back_buffer();
  }
  /// Whether the stream has no buffer, as by default; sync_with_stdio(false) gives it one.
  bool is_unbuffered() const { return unbuffered_; }
  void flush() const;

 private:
  void put_back();
  void put_back_buffer();

  std::ostream& stream_;
  std::streambuf* buffer_ = nullptr;
  bool unbuffered_ = false;
  std::ios_base::fmtflags flags_{};
  std::streamsize precision_ = 0;
  char fill_ = ' ';
  std::ios_base::iostate exceptions_{};
  std::ostream* tie_ = nullptr;
  std::locale locale_;
};

/// Constructed when the runner is ready for its first task: the state at that time is what it restores.
class ProcessState {
 public:
  ProcessState();
  ~ProcessState();
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;

  /// Saves the current state as the one to restore.
  void keep();

  /// `locale`: the C++ locale may have been changed.
  void restore_memory(bool locale) {
    floating_point_.restore();
    environment_.restore();
    locale_.restore_thread();
    if (locale) locale_.restore();
    for (StreamState& stream : streams_) stream.restore();
    thread_libraries_.restore();
  }
  /// Restores signal mask, umask, C++ handlers and the rest of std::cout etc. Returns whether anything had
  /// changed.
  bool restore_kernel();
  /// Restores everything. Returns whether anything had changed.
  bool restore_everything();
  /// A copy of descriptor 0, 1 or 2, made at the start; -1: none.
  int copy_of(int fd) const { return standard_[static_cast<std::size_t>(fd)]; }
  /// Why this process cannot run another task; "": it can.
  const std::string& unusable() const { return unusable_; }

  /// Sets environment variables for the next task only.
  void set_variables(const std::map<std::string, std::string>& variables);

  /// Flushes stdio and std::cout etc. to stdout and stderr. Returns whether there may have been buffered
  /// output.
  bool flush_output();

  /// Number of resource limits.
  static constexpr std::size_t kLimits = RLIM_NLIMITS;

 private:
  struct Masks {  // of signals: signal n is bit n - 1
    std::uint64_t ignored = 0;
    std::uint64_t caught = 0;
  };

  struct File {
    dev_t device = 0;
    ino_t number = 0;
    int flags = -1;
    static File of(int fd);
    bool operator==(const File&) const = default;
  };

  bool read_masks(Masks& masks) const;
  bool restore_mask();
  bool restore_dispositions();
  bool restore_timers();
  bool restore_directory();
  bool restore_limits();
  bool restore_affinity();
  bool restore_standard_descriptors();
  void look_at_descriptors();
  void drop_pending() const;
  void give_up(std::string why);

  FloatingPointState floating_point_;
  EnvironmentState environment_;
  LocaleState locale_;
  ThreadLibraries thread_libraries_;
  std::array<StreamState, 3> streams_;
  std::terminate_handler terminate_ = nullptr;
  std::new_handler new_ = nullptr;

  sigset_t blocked_{};
  mode_t umask_ = 0;
  std::array<struct sigaction, NSIG> dispositions_{};
  Masks masks_;
  int status_ = -1;                          // /proc/self/status
  int directory_ = -1;                       // the working directory
  std::string path_;                         // path of `directory_`
  std::array<int, 3> standard_{-1, -1, -1};  // copies of descriptors 0, 1 and 2
  std::array<File, 3> files_{};              // the files behind descriptors 0, 1 and 2
  std::array<bool, 3> timer_runs_{};         // timers of setitimer() that ran at the start
  int timer_next_ = -1;                      // id of the next timer_create(); -1: unknown
  int nice_ = 0;
  cpu_set_t affinity_{};
  bool affinity_known_ = false;
  std::array<rlimit, kLimits> limits_{};
  int many_ = 0;  // when the descriptor of this number is in use, too many are open
  std::string unusable_;
};

}  // namespace weft::runner
