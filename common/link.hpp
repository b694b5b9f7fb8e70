// SPDX-License-Identifier: MIT
// Link: the DEALER end of one connection to the broker, for a worker's or a client's shell. One
// link is one TCP connection: it is opened, works, and is down for ever; trying again is the
// session's decision (Presence) and makes a new connection, so that nothing sent on the old one can
// surface on the new one. Owned by one thread.
#pragma once

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

  /// What to poll for before next() can have anything new.
  std::vector<zmq::pollitem_t> poll_items();
  /// True when a previous send() was refused and writability should end a poll.
  void want_write(bool want) { want_write_ = want; }
  /// The next thing that happened, or nullopt: poll.
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
  bool broken_ = false;  // the end has been heard of; what came before it may still be in the pipe
  bool want_write_ = false;
};

/// "tcp://host:port" for what a user may write as an address ("host:port", "tcp://host:port",
/// "[::1]:port"). Throws std::invalid_argument with a sentence when it is neither.
std::string endpoint_of(const std::string& address);

}  // namespace weft
