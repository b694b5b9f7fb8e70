// SPDX-License-Identifier: MIT
// Node: one process of the simulated world: its clock, its inbox, and its turns. What happens to a process
// waits in its inbox until its next turn, which handles all of it, ticks and sends: the loop of every shell.
// A frozen process has no turns, and much to do when it wakes. DialerNode: one with a connection to the
// broker, as workers and clients are.
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
  // What a process does in a turn, beside its inbox.
  virtual void tick() = 0;                           // deliver Tick
  virtual void flush() = 0;                          // send what was packed
  virtual std::optional<Time> deadline() const = 0;  // by its own clock
  virtual void on_thaw() {}

  void start_process();
  void stop_process();
  /// Puts something into the inbox of the process that runs now; it dies with it.
  void post(std::function<void()> handle);
  /// The same, some time later.
  void post_after(Duration delay, std::function<void()> handle);
  /// Its own clock, which has its own zero and its own speed.
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
  std::uint64_t alarm_ = 0;  // the newest; older ones ring for nobody
  Time frozen_since_{};
  Time frozen_until_{};
  std::deque<std::function<void()>> inbox_;
  std::int64_t offset_us_ = 0;
  std::int64_t drift_ppm_ = 0;
};

/// `frame` as a process of version `minor` sends it: of a version that does not exist yet, with fields that
/// nobody here knows.
std::string frame_of(std::uint8_t minor, std::string frame, wire::Origin origin);

/// What a process of version `minor` makes of a frame. One of a version that does not exist yet passes over
/// what its peers of that version have added.
inline Result<wire::Message> decode_as(std::uint8_t minor, std::string_view frame) {
  return wire::decode(frame, std::min(minor, wire::kMinor));
}

class DialerNode : public Node, public LinkListener {
 public:
  /// It speaks version `minor` of the protocol.
  DialerNode(World& world, Network& network, Oracle& oracle, std::string name, std::uint8_t minor);

  HostId host() const { return host_; }
  /// A frame that is not Weft goes out on its connection.
  void send_garbage();

  void on_link_up(ConnectionId id) override;
  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 protected:
  // What its session is told, in its turn.
  virtual void link_is_up() = 0;
  virtual void link_is_down(const std::string& reason) = 0;
  virtual void receive(wire::Message message, std::uint8_t broker_minor) = 0;

  /// The process ends without a word, and all that it had with it.
  void end_process(Network::Power how);
  void open_link();
  void close_link(bool linger);
  void send(const wire::Message& message);
  /// The same, behind everything else: chunks of blobs.
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
