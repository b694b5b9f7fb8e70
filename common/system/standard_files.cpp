// SPDX-License-Identifier: MIT
#include "common/system/standard_files.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

#include "common/system/fd.hpp"

namespace weft {

namespace {

std::atomic<std::uint64_t> dropped{0};  // lines dropped since the last one that was written

/// Opens the pipe or terminal of `fd` again: to set O_NONBLOCK on `fd` would affect all processes that share
/// the open file.
Fd open_again_nonblocking(int fd) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return Fd(::open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

bool is_writable(int fd) {
  pollfd polled{fd, POLLOUT, 0};
  return ::poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}

}  // namespace

void open_standard_files() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    int opened = ::open("/dev/null", O_RDWR);
    // no /dev: writing to a directory fails at once
    if (opened < 0) opened = ::open("/", O_RDONLY | O_DIRECTORY);
    if (opened >= 0 && opened != fd) {  // another thread has taken `fd`
      dup2(opened, fd);
      ::close(opened);
    }
  }
}

bool write_without_waiting(int fd, std::string_view text) noexcept {
  struct stat status {};
  if (fstat(fd, &status) < 0) return false;
  const bool is_socket = S_ISSOCK(status.st_mode);
  const bool is_file = S_ISREG(status.st_mode);
  const Fd again = is_socket || is_file ? Fd() : open_again_nonblocking(fd);
  while (!text.empty()) {
    ssize_t written = -1;
    if (is_socket) {
      written = send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (is_file || again) {
      written = ::write(is_file ? fd : again.get(), text.data(), text.size());
    } else if (is_writable(fd)) {
      // no /proc, or a file of another user: writes only as much as poll(2) guarantees space for
      written = ::write(fd, text.data(), std::min<std::size_t>(text.size(), _POSIX_PIPE_BUF));
    } else {
      return false;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void report_line(std::string_view line) noexcept {
  const std::uint64_t before = dropped.exchange(0);
  try {
    std::string text;
    if (before > 0)
      text = "weft: " + std::to_string(before) + " lines were dropped: nothing took them from stderr\n";
    text.append(line) += '\n';
    if (write_without_waiting(STDERR_FILENO, text)) return;
  } catch (const std::bad_alloc&) {  // counted as dropped
  }
  dropped += before + 1;
}

}  // namespace weft
