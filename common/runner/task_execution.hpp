// SPDX-License-Identifier: MIT
// What the loop of a runner needs around the call of one task: its arguments in memory, a large result in a
// memfd, its working directory, its failure as bytes. A part of runner_loop.cpp.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/runner/runner_channel.hpp"
#include "common/runner/runner_loop.hpp"
#include "common/wire/codec.hpp"

namespace weft::runner {

inline constexpr std::size_t kNameBytesMax = 1000;  // of a function, in HELLO

inline std::string system_text(const std::string& what) { return what + ": " + std::strerror(errno); }

/// The payload of a task: inline, or mapped from `fd`, the descriptor that came with the task. `task` and
/// `fd` must outlive this object.
class Arguments {
 public:
  Arguments(const RunTask& task, int fd) : size_(task.large_bytes) {
    if (size_ == 0) {
      view_ = task.payload.inline_bytes();
      return;
    }
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < size_) {
      size_ = 0;
      throw Error("the worker announced a large argument but did not send it");
    }
    memory_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory_ == MAP_FAILED) throw Error(system_text("the arguments cannot be mapped"));
    view_ = {static_cast<const char*>(memory_), size_};
  }
  ~Arguments() {
    if (memory_ != MAP_FAILED) munmap(memory_, size_);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  std::string_view view() const { return view_; }

 private:
  std::size_t size_;
  void* memory_ = MAP_FAILED;
  std::string_view view_;
};

/// A memfd with `bytes`, sealed so that the agent can map it safely. -1 with errno if there is no memory.
inline int make_memfd(std::string_view bytes) {
  const int fd = memfd_create("weft-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  while (fd >= 0 && !bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int why = errno;
      close(fd);
      errno = why;
      return -1;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fd >= 0) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return fd;
}

inline std::string cut(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const std::size_t size = text.size();
  std::size_t end = bytes_max;
  while (end > bytes_max - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;  // do not split a UTF-8 character
  text.resize(end);
  return text + " ... (truncated: the message had " + std::to_string(size) + " bytes)";
}

inline std::string current_directory() {
  char path[PATH_MAX];
  return getcwd(path, sizeof path) == nullptr ? "" : path;
}

inline detail::ByteBuffer encode_failure(std::string type, std::string message, std::string directory = "") {
  wire::ErrorInfo info;
  info.directory = std::move(directory);
  info.type = cut(std::move(type), kNameBytesMax);
  info.message = cut(std::move(message), kErrorMessageBytesMax);
  return detail::ByteBuffer(wire::encode_error(info));
}

/// Learns which functions leave the process state unchanged, so that the state need not be checked after each
/// short call. The check takes about 5 us, which do not matter after a long call.
class Habits {
 public:
  /// Whether to check the state after this short call of `function`.
  bool suspicious(std::uint64_t function) {
    Habit& habit = habits_[function];
    if (habit.left_something || habit.clean < kTrustedAfter) return true;
    return ++habit.calls % kSample == 0;
  }
  void saw(std::uint64_t function, bool left_something) {
    Habit& habit = habits_[function];
    habit.left_something = habit.left_something || left_something;
    if (habit.clean < kTrustedAfter) ++habit.clean;
  }

 private:
  static constexpr std::uint32_t kTrustedAfter = 32;
  static constexpr std::uint32_t kSample = 64;
  struct Habit {
    std::uint32_t clean = 0;
    std::uint32_t calls = 0;
    bool left_something = false;
  };
  std::unordered_map<std::uint64_t, Habit> habits_;
};

/// Detects a fork by a page that the kernel wipes in every child, whichever call created it.
class ForkMark {
 public:
  ForkMark() : page_(mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (page_ == MAP_FAILED || madvise(page_, kPageBytes, MADV_WIPEONFORK) != 0) return;
    mark() = true;
    works_ = true;
  }
  bool in_child() const { return works_ ? !mark() : getpid() != pid_; }

 private:
  bool& mark() const { return *static_cast<bool*>(page_); }

  void* page_;
  bool works_ = false;
  const pid_t pid_ = getpid();
};

/// Enters the working directory of a task, and returns to the previous one at its end.
class WorkingDirectory {
 public:
  /// Throws Failure when `path` cannot be entered; "": nothing changes.
  explicit WorkingDirectory(const std::string& path) {
    if (path.empty()) return;
    before_ = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (chdir(path.c_str()) == 0) return;
    const std::string why = system_text("cannot enter the working directory '" + path + "' of this task");
    if (before_ >= 0) close(before_);
    throw Failure{"", why + ": it must exist on the host of the worker"};
  }
  ~WorkingDirectory() {
    if (before_ < 0) return;
    if (fchdir(before_) != 0)
      std::fprintf(stderr, "weft runner: %s\n",
                   system_text("cannot return from the working directory of a task").c_str());
    close(before_);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

 private:
  int before_ = -1;
};

}  // namespace weft::runner
