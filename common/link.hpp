// SPDX-License-Identifier: MIT
// Link: the DEALER end of one connection to the broker, for a worker's or a client's shell. One
// link is one TCP connection: it is opened, works, and is down for ever; trying again is the
// session's decision (Presence) and makes a new connection, so that nothing sent on the old one can
// surface on the new one. Owned by one thread.
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
    std::string reason;  // "connection refused", "the peer does not speak ZMTP" ...
  };
  using Event = std::variant<Up, Down, zmq::message_t>;

  explicit Link(zmq::context_t& context) : context_(context) {}
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Starts to connect to `address`, "host:port" or "tcp://host:port"; a name with several addresses
  /// is tried in turn, one at each open(). Up or Down follows. Throws nothing: what cannot be
  /// resolved is a Down.
  void open(const std::string& address);
  /// Ends the connection. What was not yet sent is dropped, or sent within `linger` in the background
  /// (the context's end waits for that). No Down follows.
  void close(std::chrono::milliseconds linger = std::chrono::milliseconds(0));

  /// Queues one frame, or says that it cannot be taken now (false: try after the next poll).
  bool send(const std::string& frame);

  // Waiting. zmq::poll() would ask each socket before and after it sleeps, with several system calls for
  // each. libzmq's own descriptors only tell of what is new:
  //
  //   items = {what else to wait for};
  //   link.watch(items);
  //   poll(items, link.quiet() ? as_long_as_one_likes : 0);
  //   link.notice(items);
  //   while (link.next()) ...

  /// Appends what to poll(2) for.
  void watch(std::vector<pollfd>& items);
  /// False: next() may have something, or send() would take what it refused; so do not wait.
  bool quiet();
  /// What poll(2) said about the items of watch(), which are where they were.
  void notice(const std::vector<pollfd>& items);
  /// The next thing that happened, or nullopt: wait.
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
  bool broken_ = false;        // the end has been heard of; what came before it may still be in the pipe
  std::size_t watched_ = 0;    // items before ours
  bool dealer_news_ = false;   // it may have something
  bool monitor_news_ = false;  // it too
  bool sent_ = false;          // since the last look: libzmq may have taken note of what came in meanwhile
  bool refused_ = false;       // the last send()
};

/// "tcp://host:port" for what a user may write as an address ("host:port", "tcp://host:port",
/// "[::1]:port"). Throws std::invalid_argument with a sentence when it is neither.
std::string endpoint_of(const std::string& address);

/// Whether `text` may be the name or the numeric address of a machine, without brackets and port.
bool is_host(const std::string& text);

}  // namespace weft
