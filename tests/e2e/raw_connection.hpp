// SPDX-License-Identifier: MIT
// RawConnection: a plain TCP connection over which a test sends any bytes to a broker, ZMTP or not.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

namespace weft::e2e {

inline std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

class RawConnection {
 public:
  explicit RawConnection(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_of(address));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    const timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~RawConnection() { close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  /// Returns false once the other side has closed.
  bool send(const std::string& bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// Whether the other side closes within the limit.
  bool is_closed() const {
    char buffer[4096];
    for (;;) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
      if (got < 0) return false;
    }
  }
  /// All bytes that the other side sends within `time`.
  std::string receive_for(std::chrono::milliseconds time) const {
    const timeval step{0, 100'000};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof step);
    std::string said;
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      char buffer[4096];
      if (const ssize_t got = recv(fd_, buffer, sizeof buffer, 0); got > 0)
        said.append(buffer, static_cast<std::size_t>(got));
    }
    return said;
  }
  /// The 64 bytes with which ZMTP 3.0 begins.
  static std::string greeting() {
    std::string text("\xff\0\0\0\0\0\0\0\1\x7f", 10);
    text += std::string("\3\0NULL", 6) + std::string(16, '\0') + std::string(32, '\0');
    return text;
  }
  /// Exchanges greeting and READY between a DEALER and the broker, so that frames may follow: libzmq closes
  /// about every second connection on which frames come too early. `identity`: the routing id of the DEALER,
  /// if it has one.
  void shake_hands(const std::string& identity = "") const {
    std::string ready = std::string("\5READY\x0bSocket-Type", 18) + std::string("\0\0\0\6DEALER", 10);
    if (!identity.empty()) {
      ready += std::string("\x08Identity\0\0\0", 12) + static_cast<char>(identity.size()) + identity;
    }
    REQUIRE(send(greeting() + std::string("\4", 1) + static_cast<char>(ready.size()) + ready));
    char theirs[107];  // a greeting, and READY with "ROUTER" and no identity
    REQUIRE(recv(fd_, theirs, sizeof theirs, MSG_WAITALL) == sizeof theirs);
  }

 private:
  int fd_;
};

}  // namespace weft::e2e
