// SPDX-License-Identifier: MIT
// Arbitrary bytes as the messages of a runner: decoded as text, and received from a socket as the agent does.
// The first byte of each says how long it is, in steps of four, and whether a descriptor comes with it.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "common/runner_channel.hpp"
#include "tests/fuzz/input.hpp"

using namespace weft;

namespace {

void decode_twice(std::string_view text) {
  const auto message = runner::decode(text);
  if (!message) {
    WEFT_CHECK(!message.fault().empty());
    return;
  }
  const std::string encoded = runner::encode(*message);
  const auto again = runner::decode(encoded);
  WEFT_CHECK(again && *again == *message);
}

/// Sends `text` with `descriptors` copies of `channel` itself.
bool send_raw(int channel, std::string_view text, std::size_t descriptors) {
  constexpr std::size_t kMax = 3;
  alignas(cmsghdr) char control[CMSG_SPACE(kMax * sizeof(int))] = {};
  iovec piece{const_cast<char*>(text.data()), text.size()};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (descriptors > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    for (std::size_t i = 0; i < descriptors; ++i)
      std::copy_n(reinterpret_cast<const char*>(&channel), sizeof channel,
                  reinterpret_cast<char*>(CMSG_DATA(part)) + i * sizeof channel);
  }
  return sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/// The descriptor that the next open() would get: the same at the end as at the beginning, or one leaked.
int lowest_free() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decode_twice({reinterpret_cast<const char*>(data), size});

  const int free_before = lowest_free();
  int ends[2];
  WEFT_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  std::string_view left(reinterpret_cast<const char*>(data), size);
  bool open = true;
  while (open && !left.empty()) {
    const auto head = static_cast<std::uint8_t>(left[0]);
    left.remove_prefix(1);
    const std::string_view text = left.substr(0, std::min<std::size_t>(left.size(), (head >> 2) * 4U));
    left.remove_prefix(text.size());
    if (!send_raw(ends[1], text, head & 3U)) break;
    using Kind = runner::Received::Kind;
    const runner::Received received = runner::receive(ends[0]);
    WEFT_CHECK(received.kind != Kind::again);
    WEFT_CHECK((received.kind == Kind::message) == received.message.has_value());
    WEFT_CHECK(received.kind == Kind::message || received.fd < 0);
    WEFT_CHECK(received.kind == Kind::message || !received.reason.empty());
    if (received.fd >= 0) close(received.fd);
    open = received.kind == Kind::message;
  }
  close(ends[0]);
  close(ends[1]);
  WEFT_CHECK(lowest_free() == free_before);
  return 0;
}
