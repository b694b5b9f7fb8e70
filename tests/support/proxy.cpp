// SPDX-License-Identifier: MIT
#include "tests/support/proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace weft::support {

namespace {

constexpr std::size_t kBufferBytes = 256 << 10;
constexpr std::size_t kReadBytes = 64 << 10;
constexpr auto kRefill = std::chrono::milliseconds(10);  // of a slow connection's allowance

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

void set_up(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

Proxy::Proxy(const std::string& broker)
    : broker_port_(static_cast<std::uint16_t>(std::stoi(broker.substr(broker.rfind(':') + 1)))),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&at), size) != 0 || listen(listener_, 4096) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    throw std::runtime_error("the proxy cannot listen on loopback");
  }
  address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  thread_ = std::thread([this] { run(); });
}

Proxy::~Proxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  for (const auto& connection : connections_) close_both(*connection);
  close(listener_);
  close(wake_);
}

void Proxy::wake() const {
  const std::uint64_t one = 1;
  (void)!write(wake_, &one, sizeof one);
}

// ---- faults ----

std::size_t Proxy::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

Proxy::Connection* Proxy::pick(std::size_t which) {
  return connections_.empty() ? nullptr : connections_[which % connections_.size()].get();
}

bool Proxy::cut(std::size_t which) {
  const std::lock_guard lock(mutex_);
  Connection* connection = pick(which);
  if (connection == nullptr) return false;
  close_both(*connection);
  wake();
  return true;
}

bool Proxy::stall(std::size_t which, std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  Connection* connection = pick(which);
  if (connection == nullptr) return false;
  connection->stalled_until = Clock::now() + time;
  wake();
  return true;
}

bool Proxy::slow(std::size_t which, std::size_t bytes, std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  Connection* connection = pick(which);
  if (connection == nullptr) return false;
  connection->slow_until = Clock::now() + time;
  connection->slow_bytes = bytes;
  wake();
  return true;
}

bool Proxy::half_close(std::size_t which) {
  const std::lock_guard lock(mutex_);
  Connection* connection = pick(which);
  if (connection == nullptr) return false;
  connection->out.waiting.clear();
  connection->out.ended = connection->out.closed = true;
  shutdown(connection->broker, SHUT_WR);
  wake();
  return true;
}

void Proxy::stall_all(std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  all_stalled_until_ = Clock::now() + time;
  wake();
}

void Proxy::heal() {
  const std::lock_guard lock(mutex_);
  all_stalled_until_ = {};
  for (const auto& connection : connections_) connection->stalled_until = connection->slow_until = {};
  wake();
}

// ---- the loop ----

void Proxy::run() {
  std::vector<pollfd> polls;
  for (;;) {
    polls.assign({{wake_, POLLIN, 0}, {listener_, POLLIN, 0}});
    bool waits = false;  // a fault ends with time, so poll() needs a timeout
    std::vector<Connection*> polled;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      const auto now = Clock::now();
      std::erase_if(connections_, [](const auto& connection) { return connection->dead; });
      for (const auto& connection : connections_) {
        Connection& c = *connection;
        const bool stalled = now < std::max(c.stalled_until, all_stalled_until_);
        const bool slow = now < c.slow_until;
        waits |= stalled || slow;
        const auto wants = [&](const Direction& in, const Direction& out) {
          short events = 0;
          if (stalled) return events;
          if (!in.ended && in.waiting.size() < kBufferBytes) events |= POLLIN;
          if (!out.waiting.empty() && (!slow || out.allowance > 0)) events |= POLLOUT;
          return events;
        };
        // poll() skips a negative descriptor: a side that we neither read nor write must not wake us with
        // POLLHUP.
        const short of_peer = wants(c.out, c.back);
        const short of_broker = wants(c.back, c.out);
        polls.push_back({of_peer == 0 ? -1 : c.peer, of_peer, 0});
        polls.push_back({of_broker == 0 ? -1 : c.broker, of_broker, 0});
        polled.push_back(&c);
      }
    }
    poll(polls.data(), polls.size(), waits ? static_cast<int>(kRefill.count()) : -1);
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    (void)!read(wake_, &count, sizeof count);
    const auto now = Clock::now();
    const bool refill = now - refilled_ >= kRefill;
    if (refill) refilled_ = now;
    for (std::size_t i = 0; i < polled.size(); ++i) {
      Connection& connection = *polled[i];
      if (refill) connection.out.allowance = connection.back.allowance = connection.slow_bytes;
      serve(connection, polls[2 + 2 * i].revents, polls[3 + 2 * i].revents, now);
    }
    if ((polls[1].revents & POLLIN) != 0) accept_one();
  }
}

void Proxy::accept_one() {
  const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (peer < 0) return;
  const int broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in to = loopback(broker_port_);
  if (connect(broker, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    close(broker);
    close(peer);
    return;
  }
  set_up(peer);
  set_up(broker);
  auto connection = std::make_unique<Connection>();
  connection->peer = peer;
  connection->broker = broker;
  connections_.push_back(std::move(connection));
}

void Proxy::serve(Connection& c, short peer_events, short broker_events, Clock::time_point now) {
  if (c.dead || now < std::max(c.stalled_until, all_stalled_until_)) return;
  const bool slow = now < c.slow_until;
  pump(c.peer, c.broker, c.out, peer_events, slow, c);
  pump(c.broker, c.peer, c.back, broker_events, slow, c);
  if (!c.dead && c.out.closed && c.back.closed) close_both(c);
}

void Proxy::pump(int from, int to, Direction& direction, short from_events, bool slow,
                 Connection& connection) {
  if (connection.dead) return;
  if (!direction.ended && direction.waiting.size() < kBufferBytes &&
      (from_events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    char buffer[kReadBytes];
    const ssize_t got = read(from, buffer, sizeof buffer);
    if (got > 0) {
      direction.waiting.append(buffer, static_cast<std::size_t>(got));
    } else if (got == 0) {
      direction.ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
      return close_both(connection);
    }
  }
  std::size_t most = direction.waiting.size();
  if (slow) most = std::min(most, direction.allowance);
  if (most > 0) {
    const ssize_t sent = send(to, direction.waiting.data(), most, MSG_NOSIGNAL);
    if (sent > 0) {
      direction.waiting.erase(0, static_cast<std::size_t>(sent));
      if (slow) direction.allowance -= static_cast<std::size_t>(sent);
    } else if (errno != EAGAIN && errno != EINTR) {
      return close_both(connection);
    }
  }
  if (direction.ended && !direction.closed && direction.waiting.empty()) {
    direction.closed = true;
    shutdown(to, SHUT_WR);
  }
}

void Proxy::close_both(Connection& connection) {
  if (connection.dead) return;
  connection.dead = true;
  close(connection.peer);
  close(connection.broker);
}

}  // namespace weft::support
