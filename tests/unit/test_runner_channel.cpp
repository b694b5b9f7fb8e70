// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/runner_channel.hpp"
#include "common/runner_loop.hpp"

using namespace weft;
using namespace weft::runner;

namespace {

struct Channel {
  std::array<int, 2> ends{-1, -1};
  Channel() {
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0);
  }
  ~Channel() {
    for (const int end : ends)
      if (end >= 0) close(end);
  }
};

RunTask some_task() {
  RunTask task{.ordinal = 7,
               .kind = wire::TaskKind::library,
               .function_index = 3,
               .function = "add",
               .signature = "long(long,long)",
               .worker = "w1",
               .execution = 2,
               .inline_payload = std::string("\0a", 2)};
  task.id.session.bytes.fill(0xab);
  task.id.seq = UINT64_MAX;
  return task;
}

}  // namespace

TEST_SUITE("runner channel") {
  TEST_CASE("every message comes back as it was") {
    const RunnerHello hello{
        .pid = 42, .total = 2, .functions = {{"inc", "long(long)"}, {"add", "int(int,int)"}}};
    const TaskDone done{
        .ordinal = 9, .run_us = 1234567, .outcome = wire::Outcome::failed, .inline_payload = "why"};
    for (const Message& message :
         {Message(hello), Message(done), Message(some_task()), Message(RunnerHello{})}) {
      auto back = decode(encode(message));
      REQUIRE(back);
      CHECK(*back == message);
    }
  }

  TEST_CASE("the bytes of a message do not change by accident") {
    const TaskDone done{.ordinal = 300, .run_us = 5, .outcome = wire::Outcome::ok, .inline_payload = "\x2a"};
    CHECK(encode(done) == std::string("\x96\x02\xcd\x01\x2c\x05\x00\x00\xc4\x01\x2a", 11));
  }

  TEST_CASE("nothing shorter, longer or different is taken for a message") {
    const std::string text = encode(some_task());
    CHECK_FALSE(decode(text + "x"));
    for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(decode(text.substr(0, size)));
    CHECK_FALSE(decode("hello"));
    CHECK_FALSE(decode(std::string("\x91\x04", 2)));
    CHECK_FALSE(decode(encode(TaskDone{.outcome = static_cast<wire::Outcome>(7)})));
    CHECK_FALSE(decode(encode(RunTask{.kind = static_cast<wire::TaskKind>(3)})));
    for (std::size_t at = 0; at < text.size(); ++at) {  // no byte that changes may hurt
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ 0x80);
      static_cast<void>(decode(changed));
    }
  }

  TEST_CASE("messages keep their order and borders, and an empty channel says again") {
    Channel channel;
    CHECK(receive(channel.ends[1]).kind == Received::Kind::again);
    CHECK(send(channel.ends[0], some_task()) == 0);
    CHECK(send(channel.ends[0], TaskDone{.ordinal = 1}) == 0);
    CHECK(receive(channel.ends[1]).message == Message(some_task()));
    CHECK(receive(channel.ends[1]).message == Message(TaskDone{.ordinal = 1}));
    CHECK(receive(channel.ends[1]).kind == Received::Kind::again);
  }

  TEST_CASE("the largest inline payload fits, a larger message is refused before it is sent") {
    Channel channel;
    TaskDone done{.inline_payload = std::string(wire::kInlineBytesMax, 'x')};
    CHECK(send(channel.ends[0], done) == 0);
    CHECK(receive(channel.ends[1]).message == Message(done));
    done.inline_payload.resize(kChannelBytesMax);
    CHECK(send(channel.ends[0], done) == EMSGSIZE);
  }

  TEST_CASE("a full channel says so, a closed one too, and no signal comes") {
    Channel channel;
    const TaskDone done{.inline_payload = std::string(wire::kInlineBytesMax, 'x')};
    int error = 0;
    for (int i = 0; i < 1000 && error == 0; ++i) error = send(channel.ends[0], done);
    CHECK(error == EAGAIN);
    close(channel.ends[1]);
    channel.ends[1] = -1;
    error = send(channel.ends[0], done);
    if (error == ECONNRESET) error = send(channel.ends[0], done);  // said once, for what was not read
    CHECK(error == EPIPE);
  }

  TEST_CASE(
      "messages sent before the other side closed are still received, even when it left some of ours "
      "unread") {
    Channel channel;
    SUBCASE("nothing unread") {}
    SUBCASE("one unread") { send(channel.ends[1], some_task()); }
    send(channel.ends[0], TaskDone{.ordinal = 1});
    close(channel.ends[0]);
    channel.ends[0] = -1;
    CHECK(receive(channel.ends[1]).kind == Received::Kind::message);
    CHECK(receive(channel.ends[1]).kind == Received::Kind::closed);
  }

  TEST_CASE("a descriptor comes with its message and is not inherited by programs") {
    Channel channel;
    const int memory = memfd_create("test", 0);
    REQUIRE(write(memory, "content", 7) == 7);
    CHECK(send(channel.ends[0], TaskDone{.large_bytes = 7}, memory) == 0);
    close(memory);
    const Received received = receive(channel.ends[1]);
    REQUIRE(received.kind == Received::Kind::message);
    REQUIRE(received.fd >= 0);
    CHECK((fcntl(received.fd, F_GETFD) & FD_CLOEXEC) != 0);
    char text[8] = {};
    CHECK(pread(received.fd, text, 7, 0) == 7);
    CHECK(std::string(text) == "content");
    close(received.fd);
  }

  TEST_CASE("garbage is told apart, and the descriptors that came with it do not stay open") {
    Channel channel;
    const int before = dup(0);
    close(before);
    CHECK(::send(channel.ends[0], "hello", 5, 0) == 5);
    const Received text = receive(channel.ends[1]);
    CHECK(text.kind == Received::Kind::garbage);
    CHECK(!text.reason.empty());

    int fds[2] = {0, 0};
    char byte = 'x';
    iovec piece{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(part), fds, sizeof fds);
    REQUIRE(sendmsg(channel.ends[0], &header, 0) == 1);
    CHECK(receive(channel.ends[1]).kind == Received::Kind::garbage);
    const int after = dup(0);  // the lowest free number is the same again
    close(after);
    CHECK(after == before);

    const std::string large(kChannelBytesMax + 10, 'x');
    REQUIRE(::send(channel.ends[0], large.data(), large.size(), 0) > 0);
    CHECK(receive(channel.ends[1]).kind == Received::Kind::garbage);
  }

  TEST_CASE("WEFT_RUNNER is read strictly, but another version only as far as its number") {
    const auto start = parse_start("1:5:6");
    REQUIRE(start);
    CHECK(start->version == 1);
    CHECK(start->channel == 5);
    CHECK(start->page == 6);
    for (const char* text : {"", "1", "1:", "1:5", "1:5:", "1:5:6:", "1:5:6x", "a:5:6", "1:-5:6", "1::6"})
      CHECK_FALSE(parse_start(text));
    REQUIRE(parse_start("2:whatever"));
    CHECK(parse_start("2:whatever")->version == 2);
  }
}
