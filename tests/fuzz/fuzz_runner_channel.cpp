// SPDX-License-Identifier: MIT
// Arbitrary bytes as the output of a runner: decoded as messages, and read by the agent from the memory and
// the socket that they share. The first byte of each part gives its length, in steps of four, and its
// destination.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/runner/runner_channel.hpp"
#include "common/runner/socket_bell.hpp"
#include "tests/fuzz/input.hpp"

using namespace weft;

namespace {

void decode_twice(std::string_view text) {
  const auto message = runner::decode(text);
  if (!message) {
    WEFT_CHECK(!message.fault().empty());
    return;
  }
  detail::ByteBuffer encoded;
  runner::encode(encoded, *message);
  const auto again = runner::decode(encoded.view());
  WEFT_CHECK(again && *again == *message);
}

/// Sends `text` with `descriptors` copies of `channel` itself.
void send_raw(int channel, std::string_view text, std::size_t descriptors) {
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
  static_cast<void>(sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/// The descriptor that the next open() would get: if it changes during a run, a descriptor has leaked.
int lowest_free() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

/// The memory of a channel, with a cleared page for each input.
char* fresh_memory() {
  static char* const memory = static_cast<char*>(
      mmap(nullptr, runner::kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::memset(memory, 0, runner::kPageBytes);
  return memory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decode_twice({reinterpret_cast<const char*>(data), size});

  const int free_before = lowest_free();
  int ends[2];
  WEFT_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  {
    char* const memory = fresh_memory();
    auto& results = reinterpret_cast<runner::Page*>(memory)->results;
    runner::SocketBell bell(ends[0]);
    runner::Channel agent(bell, memory, runner::Channel::Role::agent);
    std::string_view left(reinterpret_cast<const char*>(data), size);
    bool open = true;
    while (open && !left.empty()) {
      const auto head = static_cast<std::uint8_t>(left[0]);
      left.remove_prefix(1);
      const std::string_view text = left.substr(0, std::min<std::size_t>(left.size(), (head >> 2) * 4U));
      left.remove_prefix(text.size());
      if ((head & 2U) != 0) {
        send_raw(ends[1], text, head & 1U);
        agent.read_bell();
      } else {  // not always where the last message has ended
        const std::uint64_t at = results.written % runner::kRingBytes;
        const std::size_t room = std::min<std::size_t>(text.size(), runner::kRingBytes - at);
        std::memcpy(memory + runner::kPageBytes + runner::kRingBytes + at, text.data(), room);
        results.written += room + (head & 1U);
      }
      using Kind = runner::Received::Kind;
      const runner::Received received = agent.receive();
      WEFT_CHECK((received.kind == Kind::message) == received.message.has_value());
      WEFT_CHECK(received.kind == Kind::message || received.fd < 0);
      WEFT_CHECK((received.kind == Kind::garbage) == !received.reason.empty());
      if (received.fd >= 0) close(received.fd);
      open = received.kind != Kind::garbage;
    }
  }
  close(ends[0]);
  close(ends[1]);
  WEFT_CHECK(lowest_free() == free_before);
  return 0;
}
