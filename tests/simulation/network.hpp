// SPDX-License-Identifier: MIT
// Network: connections from dialers (workers and clients, each on a separate host) to the one broker. A
// connection is TCP as libzmq presents it: frames arrive whole, in order and once, after a delay; frames are
// lost only with their connection; one end may be closed long before the other end knows. Its faults are
// those of real networks: resets that both, one or neither end sees, partitions in one direction or both
// (frames wait, since TCP retransmits), slow links, hosts without power.
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

/// Why a connection has ended that neither end has closed: the peer no longer acknowledged any bytes.
inline constexpr const char* kUnreachable = "cannot be reached";

/// What a process, a dialer or the broker, sees of its connections.
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
    double spike_chance = 0.01;  // that a frame takes up to spike_max
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
  /// Closes the dialer's end. Unless it lingers, the frames that it sent last may be lost.
  void close(ConnectionId id, bool linger);

  // ---- faults ----
  void broker_frozen(bool frozen) { broker_frozen_ = frozen; }
  void broker_down(Power how);
  void broker_up() { broker_power_ = Power::on; }
  void host_down(HostId host, Power how);
  void host_up(HostId host) { hosts_[host].power = Power::on; }
  void reset(HostId host, bool dialer_sees, bool broker_sees);
  /// The dialer's host. REQUIRES: the connection is open.
  HostId host_of(ConnectionId id) const { return connections_.at(id).host; }
  /// Holds back the frames that side `from` sends, until as many calls of unblock().
  void block(HostId host, Side from);
  void unblock(HostId host, Side from);
  /// Adds `extra` to the delay of every frame from now on; zero ends that.
  void slow(HostId host, Duration extra) { hosts_[host].extra_delay = extra; }

 private:
  struct Item {
    std::string frame;
    bool end = false;  // not a frame: the sender has closed its end
    std::string reason;
  };
  struct Pipe {
    std::deque<Item> items;
    std::size_t owed = 0;  // items that were due while the side was blocked
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
    std::uint64_t cuts = 0;   // counts changes, so that a later change voids a give-up
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
