// SPDX-License-Identifier: MIT
// Link: the DEALER end of one connection to the broker, for the shells of worker and client. Each open()
// makes a new TCP connection, which is never re-established once it is down: Presence decides when to
// reconnect, and no frame sent on an old connection can surface on a new one. Owned by one thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>
#include <zmq.hpp>

namespace weft {

class Link {
 public:
  struct Up {};
  struct Down {
    std::string reason;  // a sentence: "the connection broke", "nothing listens there, or ..."
  };
  using Event = std::variant<Up, Down, zmq::message_t>;

  explicit Link(zmq::context_t& context) : context_(context) {}
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Starts to connect to `address`, "host:port" or "tcp://host:port". If a name has several addresses, each
  /// open() tries the next one. Up or Down follows. Does not throw: a name that cannot be resolved is
  /// reported as Down.
  void open(const std::string& address);
  /// Closes the connection. Unsent frames are dropped, or sent within `linger` in the background (destroying
  /// the context waits for them). No Down follows.
  void close(std::chrono::milliseconds linger = std::chrono::milliseconds(0));

  /// Queues one frame. False is backpressure: libzmq's queue is full; try again after the next poll. While
  /// there is no connection, frames are dropped.
  bool send(const std::string& frame);

  // How to wait. zmq::poll() would make several system calls for each socket, before and after it sleeps, so
  // poll(2) watches the descriptors of libzmq. They are edge-triggered, so quiet() must be asked first:
  //
  //   items = {other descriptors};
  //   link.watch(items);
  //   poll(items, link.quiet() ? timeout : 0);
  //   link.notice(items);
  //   while (link.next()) ...

  /// Appends the descriptors to poll(2).
  void watch(std::vector<pollfd>& items);
  /// Whether poll(2) may wait. False: next() may have an event, or send() would accept the frame that it
  /// refused.
  bool quiet();
  /// Takes the results of poll(2) for the items of watch(), whose positions must not have changed.
  void notice(const std::vector<pollfd>& items);
  /// The next event, or nullopt if there is none before the next poll.
  std::optional<Event> next();

 private:
  void down(std::string reason);
  std::optional<Event> next_frame();
  void read_monitor();

  zmq::context_t& context_;
  std::unique_ptr<zmq::socket_t> dealer_;
  std::unique_ptr<zmq::socket_t> monitor_;
  std::deque<Event> events_;
  std::size_t attempts_ = 0;
  bool up_ = false;
  bool broken_ = false;        // disconnected, but frames received before may still be in the pipe
  std::size_t watched_ = 0;    // index of our first item in the list of watch()
  bool dealer_news_ = false;   // dealer_ may be readable
  bool monitor_news_ = false;  // monitor_ may be readable
  bool sent_ = false;     // sent since the last check: libzmq may have consumed the edge of received frames
  bool refused_ = false;  // the last send() was refused
};

/// "tcp://host:port" for an address as written by a user: "host:port", "tcp://host:port", "[::1]:port".
/// Throws std::invalid_argument with a sentence if it is not valid.
std::string endpoint_of(const std::string& address);

/// Whether `text` can be a host name or numeric address, without brackets and port.
bool is_host(const std::string& text);

}  // namespace weft
