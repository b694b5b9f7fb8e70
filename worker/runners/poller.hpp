// SPDX-License-Identifier: MIT
// Poller: an epoll set. The cost of a poll depends on the number of ready descriptors, not on the number of
// all.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::worker {

class Poller {
 public:
  Poller() : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "cannot make an epoll descriptor")), room_(1024) {}

  /// Readable while any descriptor of the set is readable or at its end.
  int fd() const { return epoll_.get(); }

  /// While `fd` is readable, take() reports `key`. A closed descriptor leaves the set. Throws
  /// std::system_error.
  void add(int fd, std::uint64_t key) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0)
      throw std::system_error(errno, std::system_category(), "cannot wait for a descriptor");
  }
  void remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  /// The ready descriptors, by their keys in `data.u64`, at most 1024; the others follow at the next call.
  /// Valid until then.
  std::span<const epoll_event> take() {
    const int count = epoll_wait(epoll_.get(), room_.data(), static_cast<int>(room_.size()), 0);
    return {room_.data(), static_cast<std::size_t>(std::max(count, 0))};
  }

 private:
  Fd epoll_;
  std::vector<epoll_event> room_;
};

}  // namespace weft::worker
