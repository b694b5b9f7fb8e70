// SPDX-License-Identifier: MIT
// Node: one process of the simulated world: its clock, its inbox, and its turns. Events for a process wait in
// its inbox until its next turn, which handles them, ticks and sends, as the loop of every shell does. A
// frozen process has no turns, and a full inbox when it wakes. DialerNode: a process that connects to the
// broker: a worker or a client.
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
  // What a process does in a turn after it has handled its inbox.
  virtual void tick() = 0;                           // deliver Tick
  virtual void flush() = 0;                          // send the packed messages
  virtual std::optional<Time> deadline() const = 0;  // by its own clock
  virtual void on_thaw() {}

  void start_process();
  void stop_process();
  /// Puts `handle` into the inbox of the present life of the process; it is dropped when that life ends.
  void post(std::function<void()> handle);
  /// As post(), after `delay`.
  void post_after(Duration delay, std::function<void()> handle);
  /// The process's clock, which differs from that of the world in its origin and its rate.
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
  std::uint64_t alarm_ = 0;  // the newest; older ones have no effect
  Time frozen_since_{};
  Time frozen_until_{};
  std::deque<std::function<void()>> inbox_;
  std::int64_t offset_us_ = 0;
  std::int64_t drift_ppm_ = 0;
};

/// `frame` as a process of version `minor` sends it: if that is the next version, with fields that this
/// version does not know.
std::string frame_of(std::uint8_t minor, std::string frame, wire::Origin origin);

/// Decodes a frame as a process of version `minor` does. A process of the next version skips the fields that
/// frame_of() has added.
inline Result<wire::Message> decode_as(std::uint8_t minor, std::string_view frame) {
  return wire::decode(frame, std::min(minor, wire::kMinor));
}

class DialerNode : public Node, public LinkListener {
 public:
  /// A process that speaks version `minor` of the protocol.
  DialerNode(World& world, Network& network, Oracle& oracle, std::string name, std::uint8_t minor);

  HostId host() const { return host_; }
  /// Sends a frame of random bytes, which is no message of the protocol.
  void send_garbage();

  void on_link_up(ConnectionId id) override;
  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 protected:
  // Events for the core, in the turn of this process.
  virtual void link_is_up() = 0;
  virtual void link_is_down(const std::string& reason) = 0;
  virtual void receive(wire::Message message, std::uint8_t broker_minor) = 0;

  /// The process dies without GOODBYE, and loses its inbox and its memory.
  void end_process(Network::Power how);
  void open_link();
  void close_link(bool linger);
  void send(const wire::Message& message);
  /// As send(), behind all other messages: for chunks of blobs.
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
