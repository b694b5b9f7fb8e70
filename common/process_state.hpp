// SPDX-License-Identifier: MIT
// ProcessState: the state of a runner process with which every task starts. A task may change it (rounding,
// signal mask, umask, locale ...) without harm to the next one: the runner puts it back in between. A runner
// that cannot be put back leaves, and the worker starts another one.
//
// Two kinds of state, by what it costs to look at them:
//   - what is in the memory of the process is compared after every task (restore_memory, about 15 ns);
//   - what only the kernel knows costs system calls. A task that took less time than the cheapest system call
//     has made none (CallGate). After any other one signal mask and umask are put back (restore_kernel, two
//     calls), and after long ones, and calls of functions that are not known yet or known to leave something,
//     all of it (restore_everything, some 50 calls, 5 us).
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

#include "common/thread_libraries.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace weft::runner {

/// Rounding, exception masks and flags, flush to zero, x87 precision.
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
  /// Registers of MMX that were left in use, too; REQUIRES: no floating point value is on the x87 stack.
  void reset_x87() const;

 private:
#if defined(__x86_64__)
  struct X87 {
    std::uint16_t control = 0;
    std::uint16_t status = 0;  // exceptions and the top of the stack
    static X87 now() {
      X87 out;
      asm volatile("fnstcw %0" : "=m"(out.control));
      asm volatile("fnstsw %0" : "=a"(out.status));
      out.status &= 0x38ff;  // without condition codes
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

/// The variables of the environment, in memory of our own.
class EnvironmentState {
 public:
  EnvironmentState() { keep(); }
  EnvironmentState(const EnvironmentState&) = delete;
  EnvironmentState& operator=(const EnvironmentState&) = delete;

  /// As it is now. What was got from it before stays where it is.
  void keep();
  /// Variables that were set, unset or put in.
  void restore() {
    if (environ != array_.data() || std::memcmp(environ, wanted_.data(), bytes()) != 0) put_back();
  }
  /// Texts that were written over in place, too.
  void restore_texts();

 private:
  std::size_t bytes() const { return wanted_.size() * sizeof wanted_[0]; }
  void put_back();

  std::vector<std::unique_ptr<std::string>> texts_;  // `wanted_` points into the last one
  std::string texts_before_;                         // a copy of it
  std::vector<char*> wanted_;                        // with the nullptr at its end
  std::vector<char*> array_;                         // is environ, and may be changed
};

/// The locale of C, of this thread, and of C++.
class LocaleState {
 public:
  LocaleState();
  void restore_thread() {
    if (uselocale(nullptr) != thread_) put_back();
  }
  void restore() {
    if (std::locale() != global_) put_back();
  }
  /// That of C, too, which changes only by a call that takes longer than one of the system.
  void restore_all() {
    if (setlocale(LC_ALL, nullptr) != current_) put_back();
    restore();
  }

 private:
  void put_back();

  std::string name_;
  const char* current_;  // where the C library has that name
  locale_t thread_;
  std::locale global_;
};

/// How a standard stream formats, where it writes to, and whether it is good.
class StreamState {
 public:
  explicit StreamState(std::ostream& stream) : stream_(stream) { keep(); }
  void keep();
  void restore() {
    if (stream_.flags() != flags_ || stream_.precision() != precision_ || stream_.fill() != fill_ ||
        stream_.rdstate() != std::ios_base::goodbit)
      put_back();
  }
  /// The rest: what it throws, and what it is tied to.
  void restore_all() {
    if (stream_.exceptions() != exceptions_ || stream_.tie() != tie_) put_back();
    restore();
  }
  void restore_locale() {
    if (stream_.getloc() != locale_) stream_.imbue(locale_);
  }
  /// Without a look at the buffer that a task has left there, which may be gone.
  void restore_buffer() {
    if (stream_.rdbuf() != buffer_) put_back_buffer();
  }
  /// Whether it keeps nothing itself, as it is without sync_with_stdio(false).
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

/// Constructed when the runner is ready for its first task: that is the state that it restores.
class ProcessState {
 public:
  ProcessState();
  ~ProcessState();
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;

  /// From now on it restores what is here now.
  void keep();

  /// `locale`: that of C++ may have been changed, too.
  void restore_memory(bool locale) {
    floating_point_.restore();
    environment_.restore();
    locale_.restore_thread();
    if (locale) locale_.restore();
    for (StreamState& stream : streams_) stream.restore();
    thread_libraries_.restore();
  }
  /// Signal mask, umask, handlers of C++, the rest of std::cout and kin. Returns whether anything was
  /// changed.
  bool restore_kernel();
  /// All of it. Returns whether anything was changed.
  bool restore_everything();
  /// A copy of descriptor 0, 1 or 2 as it was at the start; -1: there is none.
  int copy_of(int fd) const { return standard_[static_cast<std::size_t>(fd)]; }
  /// Why no other task can run here; "": it can.
  const std::string& unusable() const { return unusable_; }

  /// For the next task only.
  void set_variables(const std::map<std::string, std::string>& variables);

  /// What is still in the buffers of stdio and of std::cout and kin goes to stdout and stderr. Returns
  /// whether there may have been something.
  bool flush_output();

  /// So many limits there are.
  static constexpr std::size_t kLimits = RLIM_NLIMITS;

 private:
  struct Masks {  // of signals, a bit for each: signal 1 is bit 0
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
  std::string path_;                         // of it
  std::array<int, 3> standard_{-1, -1, -1};  // copies of descriptors 0, 1 and 2
  std::array<File, 3> files_{};              // that they are
  std::array<bool, 3> timer_runs_{};         // of setitimer, from the start
  int timer_next_ = -1;                      // id of the next one of timer_create; -1: cannot be known
  int nice_ = 0;
  cpu_set_t affinity_{};
  bool affinity_known_ = false;
  std::array<rlimit, kLimits> limits_{};
  int many_ = 0;  // a descriptor with this number is one of too many
  std::string unusable_;
};

}  // namespace weft::runner
