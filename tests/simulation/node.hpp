// SPDX-License-Identifier: MIT
// Node: one process of the simulated world, with its clock, its inbox, and its turns. An event of the process
// waits in the inbox until the next turn, which handles the whole inbox, ticks and sends: the loop of every
// shell. A frozen process has no turns, and a full inbox when it wakes. DialerNode: a process with a
// connection to the broker, as workers and clients have.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "common/wire/codec.hpp"
#include "common/wire/messages.hpp"
#include "tests/newer_peer.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/oracle.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

class Node {
 public:
  Node(World& world, Network& network, std::string name);
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& name() const { return name_; }
  bool running() const { return running_; }
  bool frozen() const { return world_.now() < frozen_until_; }
  Time frozen_since() const { return frozen_since_; }
  /// SIGSTOP now, SIGCONT after `duration`.
  void freeze(Duration duration);

 protected:
  // What a process does in a turn, after it has handled its inbox.
  virtual void tick() = 0;                           // deliver Tick to the core
  virtual void flush() = 0;                          // send the packed frames
  virtual std::optional<Time> deadline() const = 0;  // of the core, by this process's clock
  virtual void on_thaw() {}

  void start_process();
  void stop_process();
  /// Puts an event into the inbox of the process that runs now; the event is lost if that process ends.
  void post(std::function<void()> handle);
  /// The same, after `delay`.
  void post_after(Duration delay, std::function<void()> handle);
  /// This process's clock, whose zero and speed differ from those of other processes.
  Time clock() const { return local(world_.now()); }

  template <class Make>
  void note(std::string_view content, Make make) {
    world_.note(name_, content, make);
  }
  template <class Make>
  void note(Make make) {
    world_.note(name_, make);
  }
  void count(std::string_view what) { world_.coverage().count(what); }
  void count_message(std::string_view direction, const wire::Message& message);

  World& world_;
  Network& network_;
  Random random_;

 private:
  Time local(Time time) const {
    const auto us = time.time_since_epoch().count();
    return Time(Duration(offset_us_ + us + us * drift_ppm_ / 1'000'000));
  }
  void wake();
  void turn();
  void set_alarm();

  std::string name_;
  bool running_ = false;
  bool in_turn_ = false;
  bool turn_planned_ = false;
  std::uint64_t life_ = 0;
  std::uint64_t alarm_ = 0;  // counts alarms: only the newest one wakes the process
  Time frozen_since_{};
  Time frozen_until_{};
  std::deque<std::function<void()>> inbox_;
  std::int64_t offset_us_ = 0;
  std::int64_t drift_ppm_ = 0;
};

/// `frame` as a process of version `minor` sends it. A version that does not exist yet adds fields that no
/// process here knows.
std::string frame_of(std::uint8_t minor, std::string frame, wire::Origin origin);

/// What a process of version `minor` decodes from a frame. A version that does not exist yet skips the fields
/// that its peers of the same version have added.
inline Result<wire::Message> decode_as(std::uint8_t minor, std::string_view frame) {
  return wire::decode(frame, std::min(minor, wire::kMinor));
}

class DialerNode : public Node, public LinkListener {
 public:
  /// `minor`: the protocol version that the process speaks.
  DialerNode(World& world, Network& network, Oracle& oracle, std::string name, std::uint8_t minor);

  HostId host() const { return host_; }
  /// Sends a frame that is not Weft on the connection.
  void send_garbage();

  void on_link_up(ConnectionId id) override;
  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 protected:
  // Events that the core receives, in a turn.
  virtual void link_is_up() = 0;
  virtual void link_is_down(const std::string& reason) = 0;
  virtual void receive(wire::Message message, std::uint8_t broker_minor) = 0;

  /// The process ends without a GOODBYE, and loses all its state.
  void end_process(Network::Power how);
  void open_link();
  void close_link(bool linger);
  void send(const wire::Message& message);
  /// The same, behind all other messages: for chunks of blobs.
  void serve(wire::Message message) { served_.push_back(std::move(message)); }
  void flush() override;

  Oracle& oracle_;
  const std::uint8_t minor_;

 private:
  void lose_link();

  HostId host_;
  ConnectionId link_ = 0;
  wire::Packer packer_;
  std::vector<wire::Message> served_;
};

}  // namespace weft::sim
