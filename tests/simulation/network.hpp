// SPDX-License-Identifier: MIT
// Network: connections from dialers (workers and clients, each on a host) to the one broker. A connection is
// TCP as libzmq shows it: frames arrive whole, in order, once, after some time; frames are lost only with
// their connection; one end may be gone long before the other end learns of it. The faults are those of real
// networks: resets that both ends, one or neither sees, partitions in one direction or both (frames wait, as
// TCP retransmits them), slow links, hosts without power.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/world.hpp"

namespace weft::sim {

using ConnectionId = std::uint64_t;
using HostId = std::size_t;
enum class Side : std::uint8_t { dialer = 0, broker = 1 };

/// Why a connection ends that neither side has closed: the other side acknowledges nothing.
inline constexpr const char* kUnreachable = "cannot be reached";

/// The events that the process of a dialer or of the broker sees.
class LinkListener {
 public:
  virtual ~LinkListener() = default;
  virtual void on_link_up(ConnectionId) {}
  virtual void on_link_down(ConnectionId, const std::string& reason) = 0;
  virtual void on_frame(ConnectionId, std::string frame) = 0;
};

class Network {
 public:
  struct Settings {
    Duration delay_min = std::chrono::microseconds(100);
    Duration delay_max = std::chrono::milliseconds(2);
    double spike_chance = 0.01;  // that a frame takes up to spike_max longer
    Duration spike_max = std::chrono::milliseconds(150);
  };
  enum class Power : std::uint8_t { on, process_down, off };

  Network(World& world, Settings settings)
      : world_(world), settings_(settings), random_(world.random().fork()) {}

  HostId add_host(LinkListener& listener);
  void set_broker(LinkListener& listener) { broker_ = &listener; }

  // ---- what processes do ----
  ConnectionId dial(HostId from);
  /// Returns false if this end knows that the connection is gone.
  bool send(ConnectionId id, Side from, std::string frame);
  /// Closes the dialer's end. Its newest frames may be lost, unless `linger` is set.
  void close(ConnectionId id, bool linger);

  // ---- what happens to them ----
  void broker_frozen(bool frozen) { broker_frozen_ = frozen; }
  void broker_down(Power how);
  void broker_up() { broker_power_ = Power::on; }
  void host_down(HostId host, Power how);
  void host_up(HostId host) { hosts_[host].power = Power::on; }
  void reset(HostId host, bool dialer_sees, bool broker_sees);
  /// The dialer's host of an open connection.
  HostId host_of(ConnectionId id) const { return connections_.at(id).host; }
  /// Holds back frames that side `from` sends. Each block() needs an unblock().
  void block(HostId host, Side from);
  void unblock(HostId host, Side from);
  /// Adds `extra` to the delay of every frame of this host, in place of any earlier `extra`.
  void slow(HostId host, Duration extra) { hosts_[host].extra_delay = extra; }

 private:
  struct Item {
    std::string frame;
    bool end = false;  // not a frame: the sender has closed its end
    std::string reason;
  };
  struct Pipe {
    std::deque<Item> items;
    std::size_t owed = 0;  // items that were due while this direction was blocked
    Time last{};           // when the last item arrives
    bool broken = false;   // frames sent from now on do not arrive, since a connection has no gaps
  };
  struct Connection {
    HostId host = 0;
    bool open[2] = {true, false};  // by side: whether that side believes the connection open
    Pipe pipes[2];                 // by the side that sends
  };
  struct Host {
    LinkListener* listener = nullptr;
    Power power = Power::on;
    int blocked[2] = {0, 0};  // by the side that sends
    Duration extra_delay{};
    ConnectionId newest = 0;  // newest connection that the broker has seen
    std::uint64_t cuts = 0;   // counts cuts, so that give_up_later() sees whether one still lasts
  };

  static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
  static Side other(Side side) { return side == Side::dialer ? Side::broker : Side::dialer; }
  LinkListener& listener(const Connection& connection, Side side) const;
  Power power(const Connection& connection, Side side) const;
  Duration delay(HostId host);
  void connect(ConnectionId id);
  void put(ConnectionId id, Side from, Item item);
  void arrive(ConnectionId id, Side from);
  void lose_some(Pipe& pipe);
  void answer_with_reset(ConnectionId id, Side to);
  void end(ConnectionId id, Side side, const std::string& reason);
  void forget_if_dead(ConnectionId id);
  void give_up_later(HostId host);

  World& world_;
  Settings settings_;
  Random random_;
  LinkListener* broker_ = nullptr;
  Power broker_power_ = Power::process_down;
  bool broker_frozen_ = false;
  std::vector<Host> hosts_;
  std::map<ConnectionId, Connection> connections_;
  ConnectionId next_id_ = 1;
};

}  // namespace weft::sim
