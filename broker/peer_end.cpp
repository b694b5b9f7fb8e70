// SPDX-License-Identifier: MIT
#include "broker/peer_end.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>

namespace weft::broker {

namespace {

// This side's kernel gives up a connection after 5 s without an acknowledgement (Broker::Broker); the peer's
// kernel acknowledges a heartbeat or a keepalive probe every 4 s at the latest.
constexpr std::chrono::milliseconds kAcknowledgedWithin(4500);

/// One end of a connection, as the kernel's table of sockets has it.
struct Address {
  std::uint16_t port = 0;  // in network order, as the bytes are
  std::array<std::uint32_t, 4> bytes{};
};

std::optional<Address> address_of(const sockaddr_storage& address) {
  Address out;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    out.port = v4.sin_port;
    std::memcpy(out.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
    return out;
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    out.port = v6.sin6_port;
    std::memcpy(out.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    return out;
  }
  return std::nullopt;
}

/// The inode of the TCP socket on this host from `from` to `to`; 0: there is none. One request of
/// sock_diag(7), because reading /proc/net/tcp takes milliseconds, however few sockets there are.
std::uint32_t socket_between(int family, const Address& from, const Address& to) {
  const Fd kernel(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!kernel) return 0;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.body.sdiag_family = static_cast<std::uint8_t>(family);
  question.body.sdiag_protocol = IPPROTO_TCP;
  question.body.idiag_states = ~0U;
  question.body.id.idiag_sport = from.port;
  question.body.id.idiag_dport = to.port;
  std::memcpy(question.body.id.idiag_src, from.bytes.data(), sizeof question.body.id.idiag_src);
  std::memcpy(question.body.id.idiag_dst, to.bytes.data(), sizeof question.body.id.idiag_dst);
  std::fill(std::begin(question.body.id.idiag_cookie), std::end(question.body.id.idiag_cookie),
            INET_DIAG_NOCOOKIE);
  if (send(kernel.get(), &question, sizeof question, 0) != static_cast<ssize_t>(sizeof question)) return 0;
  alignas(nlmsghdr) std::array<char, 4096> answer;
  const ssize_t size = recv(kernel.get(), answer.data(), answer.size(), 0);  // send() has queued the answer
  const auto& header = *reinterpret_cast<const nlmsghdr*>(answer.data());
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg))) ||
      header.nlmsg_type != SOCK_DIAG_BY_FAMILY) {
    return 0;
  }
  return reinterpret_cast<const inet_diag_msg*>(NLMSG_DATA(&header))->idiag_inode;
}

}  // namespace

Fd second_descriptor(int fd) { return Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

bool is_ended_by_peer(const Fd& connection, std::chrono::milliseconds heard_within) {
  using std::chrono::milliseconds;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!connection || getsockopt(connection.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  if (info.tcpi_state != TCP_CLOSE) return true;  // EOF, or libzmq has closed it for what was said
  // A reset, or this kernel gave up. It also gives up when a stalled peer's receive buffer is full, although
  // the peer's kernel acknowledges; but then the peer itself has sent nothing.
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
  const auto from = address_of(peer);
  const auto to = address_of(own);
  if (!from || !to) return {};
  Fd process(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  const std::uint32_t inode = process ? socket_between(peer.ss_family, *from, *to) : 0;
  if (inode == 0) return {};
  const std::string socket = fmt::format("socket:[{}]", inode);
  std::error_code fault;
  for (std::filesystem::directory_iterator file(fmt::format("/proc/{}/fd", pid), fault), end;
       !fault && file != end; file.increment(fault)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(file->path(), gone) == socket) return process;
  }
  return {};
}

}  // namespace weft::broker
