// SPDX-License-Identifier: MIT
// Link against real sockets on loopback. All tests wait for events, with a deadline.
#include "common/net/link.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "common/system/fd.hpp"

namespace weft {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 20s;

/// The next event, or nullopt after kPatience.
std::optional<Link::Event> await(Link& link, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    if (auto event = link.next()) return event;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left <= 0ms) return std::nullopt;
    std::vector<pollfd> items;
    link.watch(items);
    if (link.quiet()) poll_for(items, left);
    link.notice(items);
  }
}

bool is_up(const std::optional<Link::Event>& event) {
  return event && std::holds_alternative<Link::Up>(*event);
}

/// The reason of a Down; "" when `event` is anything else.
std::string down_reason(const std::optional<Link::Event>& event) {
  const auto* down = event ? std::get_if<Link::Down>(&*event) : nullptr;
  return down != nullptr ? down->reason : "";
}

std::string text_of(const std::optional<Link::Event>& event) {
  const auto* frame = event ? std::get_if<zmq::message_t>(&*event) : nullptr;
  return frame != nullptr ? frame->to_string() : "";
}

/// A ROUTER on a free port.
struct Router {
  explicit Router(zmq::context_t& context) : socket(context, zmq::socket_type::router) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::router_mandatory, 1);
    socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(std::chrono::milliseconds(kPatience).count()));
    socket.bind("tcp://127.0.0.1:*");
  }
  std::string address() const { return socket.get(zmq::sockopt::last_endpoint); }
  std::string receive() {
    zmq::message_t frame;
    if (!socket.recv(peer) || !socket.recv(frame)) return "nothing came";
    CHECK_FALSE(frame.more());
    return frame.to_string();
  }
  void send(std::string_view frame) {
    socket.send(zmq::buffer(peer.to_string()), zmq::send_flags::sndmore);
    socket.send(zmq::buffer(frame), zmq::send_flags::none);
  }
  zmq::socket_t socket;
  zmq::message_t peer;  // of the last message that receive() returned
};

/// A TCP socket that listens on a free port, or that only binds the port, so that connections are refused.
class TcpPort {
 public:
  explicit TcpPort(bool listening) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    if (listening) REQUIRE(listen(fd_, 5) == 0);
    socklen_t size = sizeof address;
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~TcpPort() { close(fd_); }
  TcpPort(const TcpPort&) = delete;
  TcpPort& operator=(const TcpPort&) = delete;
  int fd() const { return fd_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  int port_ = 0;
};

}  // namespace

TEST_SUITE("link") {
  TEST_CASE("a link comes up, carries frames both ways in order, and goes down when the peer closes") {
    zmq::context_t context;
    auto router = std::make_unique<Router>(context);
    Link link(context);
    link.open(router->address());
    REQUIRE(is_up(await(link)));
    CHECK(link.send("first"));
    CHECK(link.send(std::string("nul \0 and all", 13)));
    CHECK(router->receive() == "first");
    CHECK(router->receive() == std::string("nul \0 and all", 13));
    router->send("one");
    router->send("");
    router->send("two");
    CHECK(text_of(await(link)) == "one");
    CHECK(text_of(await(link)).empty());
    CHECK(text_of(await(link)) == "two");
    router.reset();
    CHECK(down_reason(await(link)) == "the connection broke");
    std::vector<pollfd> items;
    link.watch(items);
    CHECK(items.empty());
    CHECK(link.quiet());
    CHECK_FALSE(link.next());
    CHECK(link.send("to nobody"));  // without a connection, send() must not block
  }

  TEST_CASE("what the peer sent before it closed is heard before Down, also when it is read after") {
    zmq::context_t context;
    zmq::context_t peer_context;
    auto router = std::make_unique<Router>(peer_context);
    router->socket.set(zmq::sockopt::linger, 5000);
    Link link(context);
    link.open(router->address());
    REQUIRE(is_up(await(link)));
    CHECK_FALSE(link.next());
    link.send("hello");
    router->receive();
    for (int i = 0; i < 50; ++i) router->send(std::to_string(i));
    router.reset();
    peer_context.close();  // all is sent, and the connection is closed
    std::vector<pollfd> items;
    link.watch(items);
    items.resize(1);  // only the item of the connection's monitor
    REQUIRE(poll_for(items, kPatience) > 0);
    for (int i = 0; i < 50; ++i) REQUIRE(text_of(await(link)) == std::to_string(i));
    CHECK(down_reason(await(link)) == "the connection broke");
  }

  TEST_CASE("a link that was down is opened again on a new connection, to another broker perhaps") {
    zmq::context_t context;
    Link link(context);
    for (int i = 0; i < 3; ++i) {
      Router router(context);
      link.open(router.address());
      REQUIRE(is_up(await(link)));
      link.send("life " + std::to_string(i));
      CHECK(router.receive() == "life " + std::to_string(i));
    }
  }

  TEST_CASE("nothing that was sent on an old connection surfaces on a new one") {
    zmq::context_t context;
    Router router(context);
    Link link(context);
    link.open(router.address());
    REQUIRE(is_up(await(link)));
    link.send("old");
    CHECK(router.receive() == "old");
    router.send("late");
    link.open(router.address());
    REQUIRE(is_up(await(link)));
    link.send("new");
    CHECK(router.receive() == "new");
    router.send("answer");
    CHECK(text_of(await(link)) == "answer");
  }

  TEST_CASE("a port where nobody listens is a Down with that sentence") {
    zmq::context_t context;
    const TcpPort unused(false);
    Link link(context);
    link.open(unused.address());
    CHECK(down_reason(await(link)) == "nothing listens there, or it cannot be reached");
    CHECK_FALSE(link.next());
  }

  TEST_CASE("a web server is told apart from a broker") {
    zmq::context_t context;
    const TcpPort port(true);
    std::thread server([&] {
      const int connection = accept(port.fd(), nullptr, nullptr);
      const std::string answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      (void)::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
      char rest[256];
      while (recv(connection, rest, sizeof rest, 0) > 0) {
      }
      close(connection);
    });
    Link link(context);
    link.open(port.address());
    const std::string reason = down_reason(await(link));
    CHECK_MESSAGE(reason == "something answers there that is not a Weft broker (no ZMTP handshake)", reason);
    link.close();
    server.join();
  }

  TEST_CASE("a server that closes without a word is told apart from a broken connection") {
    zmq::context_t context;
    const TcpPort port(true);
    std::thread server([&] { close(accept(port.fd(), nullptr, nullptr)); });
    Link link(context);
    link.open(port.address());
    const std::string reason = down_reason(await(link));
    CHECK_MESSAGE(reason == "something answers there that is not a Weft broker (no ZMTP handshake)", reason);
    server.join();
  }

  TEST_CASE("a server that accepts and stays silent is a Down after the handshake's three seconds") {
    zmq::context_t context;
    const TcpPort port(true);  // the kernel accepts, but no process answers
    Link link(context);
    link.open(port.address());
    CHECK_FALSE(down_reason(await(link)).empty());
  }

  TEST_CASE("a host that cannot be found is a Down that names it") {
    zmq::context_t context;
    Link link(context);
    link.open("no-such-host.invalid:8786");
    const std::string reason = down_reason(await(link));
    CHECK_MESSAGE(reason.find("cannot find host 'no-such-host.invalid'") == 0, reason);
  }

  TEST_CASE("what is not an address is a Down that says how to write one") {
    zmq::context_t context;
    Link link(context);
    link.open("8786");
    CHECK(down_reason(await(link)) ==
          "'8786' is not an address: write host:port, for example 127.0.0.1:8786");
  }

  TEST_CASE("a message of several parts is not of a Weft broker") {
    zmq::context_t context;
    Router router(context);
    Link link(context);
    link.open(router.address());
    REQUIRE(is_up(await(link)));
    link.send("hello");
    router.receive();
    router.socket.send(zmq::buffer(router.peer.to_string()), zmq::send_flags::sndmore);
    router.socket.send(zmq::str_buffer("a"), zmq::send_flags::sndmore);
    router.socket.send(zmq::str_buffer("b"), zmq::send_flags::none);
    CHECK(down_reason(await(link)) == "the broker sent a message of several parts");
  }

  TEST_CASE("a full pipe refuses a frame instead of blocking, and takes it when there is room again") {
    zmq::context_t context;
    Router router(context);
    router.socket.set(zmq::sockopt::rcvhwm, 1);
    Link link(context);
    link.open(router.address());
    REQUIRE(is_up(await(link)));
    const std::string large(1 << 20, 'x');
    int taken = 0;
    while (taken < 10'000 && link.send(large)) ++taken;
    REQUIRE(taken < 10'000);
    CHECK_FALSE(link.next());
    int received = 0;
    bool sent = false;
    while (!sent && received < taken) {
      CHECK(router.receive().size() == large.size());
      ++received;
      sent = !link.quiet() && link.send("last");
    }
    CHECK(sent);
    for (; received < taken; ++received) CHECK(router.receive().size() == large.size());
    CHECK(router.receive() == "last");
  }

  TEST_CASE("closing with a linger still sends what was queued") {
    zmq::context_t context;
    Router router(context);
    Link link(context);
    link.open(router.address());
    REQUIRE(is_up(await(link)));
    link.send("goodbye");
    link.close(5s);
    CHECK(router.receive() == "goodbye");
    CHECK_FALSE(link.next());
  }

  TEST_CASE("an address is host:port, with or without tcp://, and IPv6 in brackets") {
    CHECK(endpoint_of("127.0.0.1:8786") == "tcp://127.0.0.1:8786");
    CHECK(endpoint_of("tcp://127.0.0.1:8786") == "tcp://127.0.0.1:8786");
    CHECK(endpoint_of("box:1") == "tcp://box:1");
    CHECK(endpoint_of("box.example.org:65535") == "tcp://box.example.org:65535");
    CHECK(endpoint_of("[::1]:8786") == "tcp://[::1]:8786");
    CHECK(endpoint_of("tcp://[fe80::1]:8786") == "tcp://[fe80::1]:8786");
    CHECK(endpoint_of("[fe80::1%eth0]:8786") == "tcp://[fe80::1%eth0]:8786");
    CHECK(endpoint_of("::1:8786") == "tcp://[::1]:8786");
    CHECK(endpoint_of("127.1:8786") == "tcp://127.1:8786");
    CHECK(endpoint_of("my_box-2:8786") == "tcp://my_box-2:8786");
  }

  TEST_CASE("what is not an address is refused with a sentence that shows it") {
    for (const char* wrong : {"",
                              ":",
                              "host",
                              "host:",
                              ":8786",
                              "8786",
                              "host:port",
                              "host:0",
                              "host:65536",
                              "host:123456",
                              "host:-1",
                              "host:87 86",
                              "http://host:8786",
                              "tcp://",
                              "tcp://host",
                              "tcp://host:8786/path",
                              "ipc:///tmp/x:1",
                              "host:8786 ",
                              "a b:8786",
                              "1.2.3.4:5:6",
                              "1.2.3.400:8786",
                              "1.2.3.4.5:8786",
                              "[::1:8786",
                              "user@host:8786"}) {
      CAPTURE(wrong);
      std::string message;
      try {
        endpoint_of(wrong);
      } catch (const std::invalid_argument& error) {
        message = error.what();
      }
      CHECK(message ==
            "'" + std::string(wrong) + "' is not an address: write host:port, for example 127.0.0.1:8786");
    }
  }
}

}  // namespace weft
