// SPDX-License-Identifier: MIT
#include "common/runner/socket_bell.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace weft::runner {
namespace {

// More than the one descriptor that is expected, so that surplus ones are received and closed.
constexpr std::size_t kDescriptorsMax = 16;

// Messages on the socket, of one byte.
constexpr char kWake = 'w';
constexpr char kDescriptor = 'd';  // the descriptor belongs to the next large message

/// The descriptors in a received message.
std::vector<int> descriptors_of(msghdr& header) {
  std::vector<int> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    taken.resize((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(taken.data(), CMSG_DATA(part), taken.size() * sizeof(int));
  }
  return taken;
}

}  // namespace

int SocketBell::wake(int descriptor) {
  char what = descriptor >= 0 ? kDescriptor : kWake;
  iovec piece{&what, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
  }
  for (;;) {
    if (sendmsg(socket_, &header, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

Bell::Heard SocketBell::listen(bool wait) {
  char what = 0;
  iovec piece{&what, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))];
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size;
  do {
    size = recvmsg(socket_, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    // ECONNRESET is reported once if the other side ended with unread messages.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) return {};
  if (size < 0) return {Heard::Kind::error, -1, errno};
  const std::vector<int> fds = descriptors_of(header);
  const Heard::Kind kind = size == 0 ? Heard::Kind::end : Heard::Kind::wake_up;
  if (what == kDescriptor && size == 1 && (header.msg_flags & MSG_TRUNC) == 0 && fds.size() == 1)
    return {kind, fds.front(), 0};
  for (const int fd : fds) close(fd);
  return {kind, -1, 0};
}

void SocketBell::close(int descriptor) { ::close(descriptor); }

}  // namespace weft::runner
