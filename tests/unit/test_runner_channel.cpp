// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "common/runner/runner_loop.hpp"
#include "common/runner/socket_bell.hpp"
#include "tests/unit/agent_end.hpp"

using namespace weft;
using namespace weft::runner;

namespace {

/// Both ends in one process, with nonblocking sockets.
struct Ends {
  Parts parts;
  SocketBell agent_bell{parts.ends[0].get()};
  SocketBell runner_bell{parts.ends[1].get()};
  Channel agent{agent_bell, parts.memory, Channel::Role::agent};
  Channel runner{runner_bell, parts.memory, Channel::Role::runner};

  Ends() {
    for (const Fd& end : parts.ends) fcntl(end.get(), F_SETFL, O_NONBLOCK);
  }
};

RunTask some_task() {
  RunTask task{.ordinal = 7,
               .function_index = 3,
               .execution = 2,
               .payload = wire::Payload(std::string_view("\0a", 2))};
  task.id.session.bytes.fill(0xab);
  task.id.seq = UINT64_MAX;
  return task;
}

TaskDone done(std::uint64_t ordinal, std::size_t bytes = 1) {
  return {.ordinal = ordinal, .payload = wire::Payload(std::string(bytes, 'x'))};
}

std::string text_of(const Message& message) {
  detail::ByteBuffer text;
  encode(text, message);
  return text.take();
}

/// Sends the byte 'd' with descriptors, as for a large message.
void send_descriptors(int socket, std::vector<int> fds, const char* text = "d", std::size_t size = 1) {
  iovec piece{const_cast<char*>(text), size};
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
  REQUIRE(sendmsg(socket, &header, 0) == static_cast<ssize_t>(size));
}

int lowest_free() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

}  // namespace

TEST_SUITE("runner channel") {
  TEST_CASE("every message comes back as it was") {
    const RunnerHello hello{
        .pid = 42, .total = 2, .functions = {{"inc", "long(long)"}, {"add", "int(int,int)"}}};
    const TaskDone failed{
        .ordinal = 9, .run_us = 1234567, .outcome = wire::Outcome::failed, .payload = wire::Payload("why")};
    const RunNamed named{wire::TaskKind::library, "add", "long(long,long)", some_task()};
    for (const Message& message : {Message(hello), Message(failed), Message(some_task()), Message(named),
                                   Message(RunnerHello{}), Message(RunnerWelcome{"w1"})}) {
      auto back = decode(text_of(message));
      REQUIRE(back);
      CHECK(*back == message);
    }
  }

  TEST_CASE("the bytes of a message do not change by accident") {
    const TaskDone ok{.ordinal = 300, .run_us = 5, .payload = wire::Payload("\x2a")};
    CHECK(text_of(ok) == std::string("\x02\x95\xcd\x01\x2c\x05\x00\x00\xc4\x01\x2a", 11));
  }

  TEST_CASE("nothing shorter, longer or different is taken for a message") {
    const std::string text = text_of(some_task());
    CHECK_FALSE(decode(text + "x"));
    for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(decode(text.substr(0, size)));
    CHECK_FALSE(decode("hello"));
    CHECK_FALSE(decode(std::string("\x06\x90", 2)));
    CHECK_FALSE(decode(text_of(TaskDone{.outcome = static_cast<wire::Outcome>(99)})));
    for (std::size_t at = 0; at < text.size(); ++at) {  // any changed byte must be harmless
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ 0x80);
      static_cast<void>(decode(changed));
    }
  }

  TEST_CASE("messages keep their order and borders, around the end of the ring too") {
    Ends ends;
    CHECK(ends.runner.receive().kind == Received::Kind::again);
    for (std::uint64_t i = 1; i < 2000; ++i) {
      CHECK(ends.runner.send(done(i, i % 700)) == 0);
      CHECK(ends.runner.send(done(i, 3)) == 0);
      CHECK(ends.agent.receive().message == Message(done(i, i % 700)));
      CHECK(ends.agent.receive().message == Message(done(i, 3)));
      CHECK(ends.agent.receive().kind == Received::Kind::again);
    }
  }

  TEST_CASE("the largest inline payload fits, a larger message is refused") {
    Ends ends;
    CHECK(ends.runner.send(done(1, wire::kInlineBytesMax)) == 0);
    CHECK(ends.agent.receive().message == Message(done(1, wire::kInlineBytesMax)));
    CHECK(ends.runner.send(done(1, kChannelBytesMax)) == EMSGSIZE);
  }

  TEST_CASE("a full ring says so, loses nothing, and takes more when it was read") {
    Ends ends;
    std::uint64_t sent = 0;
    while (ends.runner.send(done(sent + 1, 5000)) == 0) ++sent;
    CHECK(sent > 40);
    CHECK(ends.runner.above_half());
    for (std::uint64_t i = 1; i <= sent; ++i) CHECK(ends.agent.receive().message == Message(done(i, 5000)));
    CHECK_FALSE(ends.runner.above_half());
    CHECK(ends.runner.send(done(7, 5000)) == 0);
  }

  TEST_CASE("only who sleeps is woken, once") {
    Ends ends;
    const auto bells = [&] {
      char byte = 0;
      int count = 0;
      while (recv(ends.parts.ends[0].get(), &byte, 1, 0) == 1) ++count;
      return count;
    };
    ends.runner.send(done(1));
    CHECK(ends.runner.wake() == 0);
    CHECK(bells() == 0);
    CHECK_FALSE(ends.agent.sleep());  // a message is waiting
    ends.agent.receive();
    CHECK(ends.agent.sleep());
    ends.runner.send(done(2));
    CHECK(bells() == 0);
    CHECK(ends.runner.wake() == 0);
    CHECK(ends.runner.wake() == 0);
    CHECK(bells() == 1);
  }

  TEST_CASE("what was said before the other side closed is still there") {
    Ends ends;
    ends.runner.send(done(1));
    ends.parts.ends[1].reset();
    CHECK_FALSE(ends.agent.read_bell());
    CHECK(ends.agent.receive().message == Message(done(1)));
    CHECK(ends.agent.receive().kind == Received::Kind::again);
    CHECK(ends.agent.send(some_task()) == 0);  // no process will read it
  }

  TEST_CASE("a descriptor comes with its message and is not inherited by programs") {
    Ends ends;
    const int memory = memfd_create("test", 0);
    REQUIRE(write(memory, "content", 7) == 7);
    CHECK(ends.runner.send(done(1)) == 0);
    CHECK(ends.runner.send(TaskDone{.ordinal = 2, .large_bytes = 7}, memory) == 0);
    close(memory);
    CHECK(ends.agent.receive().fd == -1);
    const Received received = ends.agent.receive();
    REQUIRE(received.kind == Received::Kind::message);
    REQUIRE(received.fd >= 0);
    CHECK((fcntl(received.fd, F_GETFD) & FD_CLOEXEC) != 0);
    char text[8] = {};
    CHECK(pread(received.fd, text, 7, 0) == 7);
    CHECK(std::string(text) == "content");
    close(received.fd);
  }

  TEST_CASE("a large message without its descriptor has none") {
    Ends ends;
    CHECK(ends.runner.send(TaskDone{.ordinal = 2, .large_bytes = 7}) == 0);
    const Received received = ends.agent.receive();
    CHECK(received.kind == Received::Kind::message);
    CHECK(received.fd == -1);
  }

  TEST_CASE("noise on the socket means nothing, and the descriptors in it do not stay open") {
    const int before = lowest_free();
    {
      Ends ends;
      const int socket = ends.parts.ends[1].get();
      CHECK(::send(socket, "hello", 5, 0) == 5);
      send_descriptors(socket, {0, 0});
      send_descriptors(socket, {0}, "noise", 5);
      send_descriptors(socket, {0});  // without a message
      CHECK(ends.agent.read_bell());
      CHECK(ends.runner.send(done(1)) == 0);
      CHECK(ends.agent.receive().message == Message(done(1)));
    }
    CHECK(lowest_free() == before);
  }

  TEST_CASE("a ring that a task has written over is garbage, not a way to make the agent read elsewhere") {
    Ends ends;
    ends.runner.send(done(1));
    SUBCASE("a part of a size") { ends.parts.page().results.written = 2; }
    SUBCASE("a message that ends behind what is written") { ends.parts.page().results.written = 8; }
    SUBCASE("another size") {
      std::memset(static_cast<char*>(ends.parts.memory) + kPageBytes + kRingBytes, 0xff, 4);
    }
    SUBCASE("no size") { std::memset(static_cast<char*>(ends.parts.memory) + kPageBytes + kRingBytes, 0, 4); }
    SUBCASE("other bytes") {
      std::memset(static_cast<char*>(ends.parts.memory) + kPageBytes + kRingBytes + 4, 0xff, 4);
    }
    SUBCASE("other bytes behind its type") {
      std::memset(static_cast<char*>(ends.parts.memory) + kPageBytes + kRingBytes + 5, 0xff, 4);
    }
    const Received received = ends.agent.receive();
    CHECK(received.kind == Received::Kind::garbage);
    CHECK_FALSE(received.message);
    CHECK_FALSE(received.reason.empty());
  }

  TEST_CASE("a page that a task has written over is put right with its answer") {
    Ends ends;
    for (const std::uint64_t nonsense : {kRingBytes + 1, UINT64_MAX}) {
      ends.parts.page().results.written = nonsense;
      CHECK(ends.agent.receive().kind == Received::Kind::again);
      ends.runner.send(done(1));
      CHECK(ends.agent.receive().message == Message(done(1)));
    }
  }

  TEST_CASE("how far the agent has read is put right too, so that a runner does not wait for room for ever") {
    Ends ends;
    while (ends.runner.send(done(1)) == 0) continue;  // until the ring is full
    while (ends.agent.receive().kind == Received::Kind::message) continue;
    ends.parts.page().results.read = std::uint64_t{1} << 40;
    CHECK(ends.runner.send(done(1)) == EAGAIN);
    ends.agent.wake();
    CHECK(ends.runner.send(done(1)) == 0);
    CHECK(ends.agent.receive().message == Message(done(1)));
  }

  TEST_CASE("an agent never writes further than the ring, whatever the runner says to have read") {
    Ends ends;
    ends.parts.page().runs.read = UINT64_MAX;
    for (int i = 0; i < 100; ++i) {
      RunTask task = some_task();
      task.payload = wire::Payload(std::string(60'000, 'x'));
      ends.agent.send(task);
    }
    CHECK(ends.parts.page().runs.written <= kRingBytes);
  }

  TEST_CASE("WEFT_RUNNER is read strictly, but another version only as far as its number") {
    const std::string version = std::to_string(kChannelVersion);
    const auto start = parse_start(version + ":5:6");
    REQUIRE(start);
    CHECK(start->version == kChannelVersion);
    CHECK(start->channel == 5);
    CHECK(start->memory == 6);
    for (const char* rest : {"", ":", ":5", ":5:", ":5:6:", ":5:6x", ":-5:6", "::6"})
      CHECK_FALSE(parse_start(version + rest));
    CHECK_FALSE(parse_start(""));
    CHECK_FALSE(parse_start("a:5:6"));
    REQUIRE(parse_start("1:whatever"));
    CHECK(parse_start("1:whatever")->version == 1);
  }
}
