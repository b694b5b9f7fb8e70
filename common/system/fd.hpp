// SPDX-License-Identifier: MIT
// Fd: owns one file descriptor. Also helpers for descriptors.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace weft {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

/// Wraps `fd`; if it is negative, throws std::system_error from errno with the prefix `what`.
inline Fd checked(int fd, const std::string& what) {
  if (fd < 0) throw std::system_error(errno, std::system_category(), what);
  return Fd(fd);
}

/// Waits until a descriptor is ready, `wait` is over, or a signal arrives. Returns the number of ready
/// descriptors. Throws std::system_error.
inline int poll_for(std::span<pollfd> items, std::chrono::milliseconds wait) {
  const auto ms = static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(wait.count(), 0, INT_MAX));
  const int count = ::poll(items.data(), items.size(), ms);
  if (count >= 0) return count;
  if (errno != EINTR) throw std::system_error(errno, std::system_category(), "poll");
  for (pollfd& item : items) item.revents = 0;
  return 0;
}

/// Writes all of `bytes` at `offset`. Throws std::system_error, possibly after writing a part.
inline void write_all_at(int fd, std::string_view bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw std::system_error(errno, std::system_category(), "cannot write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += written;
  }
}

}  // namespace weft
