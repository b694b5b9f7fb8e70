// SPDX-License-Identifier: MIT
#include "common/net/link.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "common/system/standard_files.hpp"

namespace weft {

namespace {

// The limit of libzmq's queues, in frames and in each direction: the last resort of backpressure, since flow
// control by credit takes effect earlier.
constexpr int kFramesQueuedMax = 128;

struct HostPort {
  std::string host;
  std::string port;
};

HostPort parse_address(const std::string& address) {
  std::string rest = address;
  if (rest.starts_with("tcp://")) rest.erase(0, 6);
  const std::size_t colon = rest.rfind(':');
  HostPort parts;
  if (colon != std::string::npos) {
    parts.host = rest.substr(0, colon);
    parts.port = rest.substr(colon + 1);
  }
  if (parts.host.size() > 2 && parts.host.front() == '[' && parts.host.back() == ']') {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  const bool numeric = !parts.port.empty() && parts.port.size() <= 5 &&
                       parts.port.find_first_not_of("0123456789") == std::string::npos;
  if (!is_host(parts.host) || !numeric || std::stoul(parts.port) > 65535 || std::stoul(parts.port) == 0) {
    throw std::invalid_argument("'" + address +
                                "' is not an address: write host:port, for example 127.0.0.1:8786");
  }
  return parts;
}

std::string join(const std::string& host, const std::string& port) {
  return host.find(':') == std::string::npos ? "tcp://" + host + ":" + port : "tcp://[" + host + "]:" + port;
}

/// All numeric endpoints of the host; if there is none, the resolver's message in `error`.
std::vector<std::string> resolve(const HostPort& parts, std::string& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found); code != 0) {
    error = "cannot find host '" + parts.host + "': " + gai_strerror(code);
    return {};
  }
  std::vector<std::string> endpoints;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST) == 0) {
      endpoints.push_back(join(host, parts.port));
    }
  }
  freeaddrinfo(found);
  if (endpoints.empty()) error = "host '" + parts.host + "' has no address";
  return endpoints;
}

}  // namespace

bool is_host(const std::string& text) {
  if (text.find(':') != std::string::npos) {
    in6_addr ignored{};
    return inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(), &ignored) == 1;
  }
  if (text.find_first_not_of("0123456789.") == std::string::npos) {
    in_addr ignored{};
    return inet_aton(text.c_str(), &ignored) ==
           1;  // like getaddrinfo(), which accepts 127.1 and rejects 127.0.0.256
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isalnum(byte) != 0 || c == '.' || c == '-' || c == '_';
  });
}

std::string endpoint_of(const std::string& address) {
  const HostPort parts = parse_address(address);
  return join(parts.host, parts.port);
}

Link::~Link() { close(); }

void Link::open(const std::string& address) {
  close();
  open_standard_files();  // the program may have closed 0, 1 or 2, and libzmq must not get these numbers
  std::string error;
  std::vector<std::string> endpoints;
  try {
    endpoints = resolve(parse_address(address), error);
  } catch (const std::invalid_argument& wrong) {
    error = wrong.what();
  }
  if (endpoints.empty()) {
    down(error);
    return;
  }

  static std::atomic<unsigned> serial{0};
  const std::string monitor_address = "inproc://weft-link-" + std::to_string(serial++);
  try {
    dealer_ = std::make_unique<zmq::socket_t>(context_, zmq::socket_type::dealer);
    dealer_->set(zmq::sockopt::linger, 0);
    // Not ZMQ_IMMEDIATE: it would end the pipe with the connection, and lose frames that have been received
    // but not read. Nothing is sent before the link is up.
    dealer_->set(zmq::sockopt::reconnect_ivl, -1);
    dealer_->set(zmq::sockopt::handshake_ivl, 3000);
    dealer_->set(zmq::sockopt::sndhwm, kFramesQueuedMax);
    dealer_->set(zmq::sockopt::rcvhwm, kFramesQueuedMax);
    dealer_->set(zmq::sockopt::maxmsgsize, std::int64_t{16} << 20);
    dealer_->set(zmq::sockopt::ipv6, 1);
    constexpr int kEvents = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
                            ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(dealer_->handle(), monitor_address.c_str(), kEvents) != 0) throw zmq::error_t();
    monitor_ = std::make_unique<zmq::socket_t>(context_, zmq::socket_type::pair);
    monitor_->set(zmq::sockopt::linger, 0);
    monitor_->connect(monitor_address);
    dealer_news_ = monitor_news_ = true;
    dealer_->connect(endpoints[attempts_++ % endpoints.size()]);
  } catch (const zmq::error_t& wrong) {
    down(wrong.what());
  }
}

void Link::close(std::chrono::milliseconds linger) {
  if (dealer_) {
    dealer_->set(zmq::sockopt::linger, static_cast<int>(linger.count()));
    zmq_socket_monitor(dealer_->handle(), nullptr, 0);
  }
  dealer_.reset();
  monitor_.reset();
  events_.clear();
  up_ = broken_ = dealer_news_ = monitor_news_ = sent_ = refused_ = false;
}

void Link::down(std::string reason) {
  close();
  events_.emplace_back(Down{std::move(reason)});
}

bool Link::send(const std::string& frame) {
  if (!up_ || !dealer_) return true;  // there is no connection, which is reported as Down
  sent_ = true;
  try {
    refused_ = !dealer_->send(zmq::buffer(frame), zmq::send_flags::dontwait).has_value();
    return !refused_;
  } catch (const zmq::error_t&) {
    return true;  // the pipe is gone, which is reported as Down too
  }
}

void Link::watch(std::vector<pollfd>& items) {
  watched_ = items.size();
  if (!dealer_) return;
  items.push_back({monitor_->get(zmq::sockopt::fd), POLLIN, 0});
  if (up_) items.push_back({dealer_->get(zmq::sockopt::fd), POLLIN, 0});  // not read before it is up
}

bool Link::quiet() {
  if (!events_.empty()) return false;
  if (!dealer_) return true;
  if (std::exchange(sent_, false) || refused_) {
    const int events = dealer_->get(zmq::sockopt::events);
    dealer_news_ = dealer_news_ || (events & ZMQ_POLLIN) != 0;
    if (refused_ && (events & ZMQ_POLLOUT) != 0) return false;
  }
  return !monitor_news_ && !(up_ && dealer_news_);
}

void Link::notice(const std::vector<pollfd>& items) {
  if (!dealer_) return;
  monitor_news_ = monitor_news_ || items[watched_].revents != 0;
  if (up_) dealer_news_ = dealer_news_ || items[watched_ + 1].revents != 0;
}

std::optional<Link::Event> Link::next() {
  if (events_.empty() && monitor_) {
    // Frames that the broker sent before the connection broke are delivered first: one may have arrived
    // between reading the pipe and the disconnect event.
    if (dealer_news_) {
      if (auto frame = next_frame()) return frame;
    }
    if (events_.empty() && !broken_ && monitor_news_) read_monitor();
    if (broken_) {
      if (auto frame = next_frame()) return frame;
      if (events_.empty()) down("the connection broke");
    }
  }
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Link::Event> Link::next_frame() {
  if (!up_ || !dealer_) return std::nullopt;
  zmq::message_t frame;
  if (!dealer_->recv(frame, zmq::recv_flags::dontwait)) {
    dealer_news_ = sent_ = false;
    return std::nullopt;
  }
  if (!frame.more()) return Event(std::move(frame));
  down("the broker sent a message of several parts");
  return std::nullopt;
}

void Link::read_monitor() {
  zmq::message_t what;
  zmq::message_t endpoint;
  while (monitor_ && monitor_->recv(what, zmq::recv_flags::dontwait)) {
    (void)monitor_->recv(endpoint, zmq::recv_flags::dontwait);
    std::uint16_t event = 0;
    if (what.size() >= sizeof event) std::memcpy(&event, what.data(), sizeof event);
    switch (event) {
      case ZMQ_EVENT_CONNECTED:
        break;
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        up_ = true;
        events_.emplace_back(Up{});
        return;
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return down("something answers there that is not a Weft broker (no ZMTP handshake)");
      case ZMQ_EVENT_CLOSED:
        return down("nothing listens there, or it cannot be reached");
      default:
        if (!up_) return down("the connection was closed before the handshake: is it a Weft broker?");
        broken_ = true;
        return;
    }
  }
  monitor_news_ = false;
}

}  // namespace weft
