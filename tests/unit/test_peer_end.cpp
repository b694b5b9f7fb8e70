// SPDX-License-Identifier: MIT
// Which process is at the other end of a connection, with real sockets.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "broker/peer_end.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

/// Two ends of a TCP connection on this host. The listener is IPv6 and may accept IPv4 as well, as the
/// broker's may.
struct Connection {
  Connection(int server_family, int client_family) {
    const Fd listener(socket(server_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = client_family == AF_INET6 ? in6addr_loopback : in6addr_any;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool v6_server = server_family == AF_INET6;
    const int off = 0;
    if (v6_server) setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const auto* address = v6_server ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
    if (bind(listener.get(), address, v6_server ? sizeof v6 : sizeof v4) != 0) return;
    REQUIRE(listen(listener.get(), 1) == 0);
    sockaddr_in6 bound{};
    socklen_t size = sizeof bound;
    REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    v6.sin6_port = v4.sin_port = bound.sin6_port;  // the same offset in both
    client = Fd(socket(client_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool v6_client = client_family == AF_INET6;
    const auto* to = v6_client ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
    REQUIRE(connect(client.get(), to, v6_client ? sizeof v6 : sizeof v4) == 0);
    server = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(server);
  }
  Fd client;
  Fd server;  // empty: this machine lacks such addresses
};

std::string own_host() {
  char host[HOST_NAME_MAX + 1] = {};
  gethostname(host, HOST_NAME_MAX);
  return host;
}

const auto kOwnPid = static_cast<std::uint64_t>(getpid());

}  // namespace

TEST_CASE("the process at the other end of a connection is known by its socket") {
  for (const auto& [server_family, client_family] :
       {std::pair(AF_INET, AF_INET), std::pair(AF_INET6, AF_INET), std::pair(AF_INET6, AF_INET6)}) {
    CAPTURE(server_family);
    CAPTURE(client_family);
    const Connection connection(server_family, client_family);
    if (!connection.server) {
      MESSAGE("this machine has no IPv6: not tried");
      continue;
    }
    CHECK(process_at_other_end(connection.server, own_host(), kOwnPid));
    CHECK_FALSE(process_at_other_end(connection.server, own_host(), static_cast<std::uint64_t>(getppid())));
    CHECK_FALSE(process_at_other_end(connection.server, own_host() + "x", kOwnPid));
    CHECK_FALSE(process_at_other_end(connection.server, own_host(), 0));
  }
}

TEST_CASE("nobody is at the other end of a connection that is closed") {
  Connection connection(AF_INET, AF_INET);
  connection.client = Fd();
  CHECK_FALSE(process_at_other_end(connection.server, own_host(), kOwnPid));
  CHECK_FALSE(process_at_other_end(Fd(), own_host(), kOwnPid));
}
