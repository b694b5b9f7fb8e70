// SPDX-License-Identifier: MIT
#include "broker/peer_end.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

namespace weft::broker {

namespace {

// The kernel of this side gives a connection up after 5 s without an acknowledgement (Broker::Broker); the
// other side's acknowledges a heartbeat, or a keepalive probe, every 4 s at the latest.
constexpr std::chrono::milliseconds kAcknowledgedWithin(4500);

std::optional<unsigned> port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return std::nullopt;
}

/// "socket:[inode]" of each TCP socket in the network of process `pid` that goes from port `from` to port
/// `to`.
std::set<std::string> sockets_between(std::uint64_t pid, unsigned from, unsigned to) {
  std::set<std::string> sockets;
  for (const char* table : {"tcp", "tcp6"}) {
    std::ifstream file(fmt::format("/proc/{}/net/{}", pid, table));
    for (std::string line; std::getline(file, line);) {
      unsigned local = 0;
      unsigned remote = 0;
      unsigned long inode = 0;
      constexpr const char* kLine = "%*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu";
      if (std::sscanf(line.c_str(), kLine, &local, &remote, &inode) == 3 && local == from && remote == to)
        sockets.insert(fmt::format("socket:[{}]", inode));
    }
  }
  return sockets;
}

}  // namespace

Fd second_descriptor(int fd) { return Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

bool is_ended_by_peer(const Fd& connection, std::chrono::milliseconds heard_within) {
  using std::chrono::milliseconds;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!connection || getsockopt(connection.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  if (info.tcpi_state != TCP_CLOSE) return true;  // EOF, or libzmq has closed it for what was said
  // A reset; or it was given up. That is also what happens to a peer that stands still while more waits for
  // it than its kernel takes, though its kernel acknowledges: but nothing has been heard of it.
  return milliseconds(info.tcpi_last_ack_recv) < kAcknowledgedWithin &&
         milliseconds(info.tcpi_last_data_recv) < std::max(heard_within, kAcknowledgedWithin);
}

Fd process_at_other_end(const Fd& connection, const std::string& host, std::uint64_t pid) {
  char own_host[HOST_NAME_MAX + 1] = {};
  if (!connection || pid == 0 || pid > INT_MAX || gethostname(own_host, HOST_NAME_MAX) != 0 ||
      host != own_host)
    return {};
  sockaddr_storage peer{};
  sockaddr_storage own{};
  socklen_t peer_size = sizeof peer;
  socklen_t own_size = sizeof own;
  if (getpeername(connection.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0 ||
      getsockname(connection.get(), reinterpret_cast<sockaddr*>(&own), &own_size) != 0) {
    return {};
  }
  const auto from = port_of(peer);
  const auto to = port_of(own);
  if (!from || !to) return {};
  Fd process(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (!process) return {};
  const std::set<std::string> sockets = sockets_between(pid, *from, *to);
  std::error_code fault;
  for (std::filesystem::directory_iterator file(fmt::format("/proc/{}/fd", pid), fault), end;
       !fault && file != end; file.increment(fault)) {
    std::error_code gone;
    if (sockets.contains(std::filesystem::read_symlink(file->path(), gone).string())) return process;
  }
  return {};
}

}  // namespace weft::broker
