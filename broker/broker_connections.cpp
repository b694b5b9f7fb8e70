// SPDX-License-Identifier: MIT
// Broker and its connections: the socket, the admission of new connections, and the detection of connections
// and processes that have ended.
#include <fmt/format.h>
#include <netdb.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "broker/broker.hpp"
#include "broker/peer_end.hpp"

namespace weft::broker {

namespace {

constexpr int kFramesQueuedMax = 256;  // per connection in libzmq; the protocol's flow control acts first
constexpr int kSuspectChecks = 10;
constexpr auto kProcessesChecked = std::chrono::milliseconds(500);
constexpr int kReservedFiles = 16;                          // descriptors that no new connection gets
constexpr auto kRefusalsLogged = std::chrono::seconds(10);  // at most this often
constexpr const char* kMonitorAddress = "inproc://weft-broker-monitor";

/// The numeric form of `host`, which libzmq needs to bind. Throws std::runtime_error if there is none.
std::string numeric_host(const std::string& host) {
  if (host == "*") return host;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0) {
    throw std::runtime_error(fmt::format("cannot find host '{}': {}", host, gai_strerror(code)));
  }
  std::array<char, NI_MAXHOST> text{};
  const int code =
      getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  freeaddrinfo(found);
  if (code != 0) throw std::runtime_error(fmt::format("host '{}' has no address", host));
  return text.data();
}

}  // namespace

bool is_loopback(const std::string& host) {
  if (host == "*") return false;
  try {
    const std::string numeric = numeric_host(host);
    return numeric.starts_with("127.") || numeric == "::1";
  } catch (const std::runtime_error&) {
    return false;
  }
}

Broker::Broker(zmq::context_t& context, const std::string& host, std::uint16_t port, Settings settings)
    : router_(context, zmq::socket_type::router),
      monitor_(context, zmq::socket_type::pair),
      heard_within_(
          std::chrono::duration_cast<std::chrono::milliseconds>(settings.heartbeat_interval * 3 / 2)),
      scheduler_(std::move(settings), now()) {
  router_.set(zmq::sockopt::router_mandatory, 1);
  router_.set(zmq::sockopt::linger, 500);
  router_.set(zmq::sockopt::backlog, 4096);
  router_.set(zmq::sockopt::handshake_ivl, 3000);
  router_.set(zmq::sockopt::maxmsgsize, std::int64_t{16} << 20);
  router_.set(zmq::sockopt::sndhwm, kFramesQueuedMax);
  router_.set(zmq::sockopt::rcvhwm, kFramesQueuedMax);
  // Keepalive finds half-open connections: the kernel of a machine that lost power sends no FIN. ZMTP's own
  // heartbeats are not an option: libzmq 4.3.4 aborts, here or in the peer, when it sends a PING or PONG on a
  // connection that broke while reading from it was suspended.
  router_.set(zmq::sockopt::tcp_keepalive, 1);
  router_.set(zmq::sockopt::tcp_keepalive_idle, 3);
  router_.set(zmq::sockopt::tcp_keepalive_intvl, 1);
  router_.set(zmq::sockopt::tcp_keepalive_cnt, 3);
  router_.set(zmq::sockopt::tcp_maxrt, 5000);  // no keepalive probes while data is not acknowledged
  zmq_socket_monitor(router_.handle(), kMonitorAddress, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPTED);
  monitor_.set(zmq::sockopt::linger, 0);
  monitor_.connect(kMonitorAddress);

  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  newcomer_max_ = static_cast<int>(std::min<rlim_t>(files.rlim_cur, INT32_MAX)) - kReservedFiles;

  const std::string numeric = numeric_host(host);
  if (numeric.find(':') != std::string::npos) router_.set(zmq::sockopt::ipv6, 1);
  const std::string bracketed = numeric.find(':') != std::string::npos ? "[" + numeric + "]" : numeric;
  try {
    router_.bind(fmt::format("tcp://{}:{}", bracketed, port == 0 ? "*" : std::to_string(port)));
  } catch (const zmq::error_t& error) {
    const char* hint =
        error.num() == EADDRINUSE ? " (is a broker running already? --port chooses another one)" : "";
    throw std::runtime_error(fmt::format("cannot listen on {}:{}: {}{}", host, port, error.what(), hint));
  }
  address_ = router_.get(zmq::sockopt::last_endpoint);
}

Broker::~Broker() { zmq_socket_monitor(router_.handle(), nullptr, 0); }

/// The monitor reports a closed connection at once, long before a heartbeat is missed, and a new connection
/// before its first message.
void Broker::read_monitor() {
  zmq::message_t what;
  while (monitor_.recv(what, zmq::recv_flags::dontwait)) {
    zmq::message_t endpoint;
    (void)monitor_.recv(endpoint, zmq::recv_flags::dontwait);
    if (what.size() < sizeof(std::uint16_t) + sizeof(std::int32_t)) continue;
    std::uint16_t event = 0;
    std::memcpy(&event, what.data(), sizeof event);
    std::int32_t fd = 0;
    std::memcpy(&fd, static_cast<const char*>(what.data()) + sizeof(std::uint16_t), sizeof fd);
    if (event == ZMQ_EVENT_ACCEPTED) {
      admit(fd);
    } else if (const auto found = by_fd_.find(fd); found != by_fd_.end()) {
      suspects_.push_back({found->second, kSuspectChecks});
    }
  }
}

/// Closes a new connection when few descriptors are left, which `fd` shows, as the kernel hands out the
/// lowest free one. With none left, libzmq's accept() would fail in a busy loop, and new peers would wait for
/// an answer instead of trying later. (If `fd` has been reused since, its present connection is as new.)
void Broker::admit(int fd) {
  if (fd < newcomer_max_) return;
  shutdown(fd, SHUT_RDWR);
  ++refused_;
  if (refusal_logged_ != Time{} && now() < refusal_logged_ + kRefusalsLogged) return;
  refusal_logged_ = now();
  spdlog::warn(
      "out of descriptors: {} newcomers were refused, and will be until somebody leaves; ulimit -n is {}, a "
      "higher one admits more",
      std::exchange(refused_, 0), newcomer_max_ + kReservedFiles);
}

void Broker::check_suspects() {
  static const std::string kProbe = wire::encode(wire::Heartbeat{});
  std::vector<Suspect> still;
  for (Suspect suspect : suspects_) {
    const auto found = connections_.find(suspect.peer);
    if (found == connections_.end()) continue;
    if (try_send(found->second, kProbe) == Sent::unreachable) {
      step(PeerGone{suspect.peer, is_ended_by_peer(found->second.second, heard_within_)});
      found->second.forgotten = true;
      touch(suspect.peer, found->second);
    } else if (--suspect.checks_left > 0) {
      still.push_back(suspect);
    }
  }
  suspects_ = std::move(still);
}

/// Called before the HELLO of a client takes effect, to detect how its connection and its process end.
void Broker::watch_client(Connection& connection, const wire::HelloClient& hello) {
  connection.second = second_descriptor(connection.fd);
  if (connection.second.get() >= newcomer_max_) connection.second.reset();
  std::erase_if(processes_, [&](const Process& process) { return process.session == hello.session; });
  Fd process = process_at_other_end(connection.second, hello.host, hello.pid);
  if (process && process.get() < newcomer_max_) processes_.push_back({std::move(process), hello.session});
}

/// A client's connection may outlive its process, in a process that it has forked.
void Broker::check_processes() {
  if (processes_.empty() || now() < next_process_check_) return;
  next_process_check_ = now() + kProcessesChecked;
  std::erase_if(processes_, [&](const Process& process) { return !scheduler_.has_session(process.session); });
  std::vector<pollfd> items;
  for (const Process& process : processes_) items.push_back({process.process.get(), POLLIN, 0});
  if (poll_for(items, std::chrono::milliseconds(0)) == 0) return;
  std::vector<Process> still;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].revents == 0) {
      still.push_back(std::move(processes_[i]));
    } else {
      step(ProcessGone{processes_[i].session});
    }
  }
  processes_ = std::move(still);
}

}  // namespace weft::broker
