// SPDX-License-Identifier: MIT
// The memory and the socketpair of a runner channel, and the agent's end, for tests that play the agent.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "common/runner/runner_channel.hpp"
#include "common/system/fd.hpp"

namespace weft::runner {

/// The shared memory and the socketpair of a channel; `ends[0]` is the agent's.
struct Parts {
  Parts() : memory_fd(memfd_create("channel", MFD_CLOEXEC)) {
    int both[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
    ends = {Fd(both[0]), Fd(both[1])};
    REQUIRE(ftruncate(memory_fd.get(), kMemoryBytes) == 0);
    memory = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd.get(), 0);
    REQUIRE(memory != MAP_FAILED);
    page().started = kNoneStarted;
  }
  ~Parts() { munmap(memory, kMemoryBytes); }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  Page& page() { return *static_cast<Page*>(memory); }

  std::array<Fd, 2> ends;
  Fd memory_fd;
  void* memory = nullptr;
};

/// Waits for the next message; `again` if the other end is closed and no more will come.
inline Received next_of(Channel& agent, int socket) {
  for (bool open = true;;) {
    agent.wake();  // the runner may wait for space in the ring (backpressure)
    Received received = agent.receive();
    if (received.kind != Received::Kind::again || !open) return received;
    if (agent.sleep()) {
      // Like an agent, polls by itself now and then: a busy runner need not wake it.
      pollfd polled{socket, POLLIN, 0};
      poll(&polled, 1, 2);
    }
    agent.awake();
    open = agent.read_bell();
  }
}

}  // namespace weft::runner
