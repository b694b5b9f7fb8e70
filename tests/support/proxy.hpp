// SPDX-License-Identifier: MIT
// A TCP proxy in front of the broker that does to connections what networks do: cuts, stalls, slows and
// half-closes them. It has a thread; every function may be called from any other thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weft::support {

class Proxy {
 public:
  using Clock = std::chrono::steady_clock;

  /// Listens on a free port of loopback and passes everything on to `broker`, "127.0.0.1:40123".
  explicit Proxy(const std::string& broker);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// As in "127.0.0.1:40124".
  const std::string& address() const { return address_; }
  std::size_t connections() const;

  /// Closes connection `which` (modulo their number) on both sides. This and the next three return false if
  /// there is no connection.
  bool cut(std::size_t which);
  /// Nothing passes in either direction for `time`; nothing is lost.
  bool stall(std::size_t which, std::chrono::milliseconds time);
  /// No more than `bytes` pass in 10 ms, each way, for `time`.
  bool slow(std::size_t which, std::size_t bytes, std::chrono::milliseconds time);
  /// Tells the broker that the peer sends no more (FIN), and passes on nothing that the peer still sends; the
  /// direction to the peer goes on.
  bool half_close(std::size_t which);
  /// As stall(), for all present and future connections.
  void stall_all(std::chrono::milliseconds time);
  /// Ends every fault but cut() and half_close().
  void heal();

 private:
  struct Direction {
    std::string waiting;  // bytes that were read and not yet written
    bool ended = false;   // the sender has sent its FIN, or half_close() says so
    bool closed = false;  // the FIN was passed on to the receiver
    std::size_t allowance = 0;
  };
  struct Connection {
    int peer = -1;
    int broker = -1;
    Direction out;   // peer to broker
    Direction back;  // broker to peer
    Clock::time_point stalled_until{};
    Clock::time_point slow_until{};
    std::size_t slow_bytes = 0;
    bool dead = false;
  };

  void run();
  void accept_one();
  void serve(Connection& connection, short peer_events, short broker_events, Clock::time_point now);
  static void pump(int from, int to, Direction& direction, short from_events, bool slow,
                   Connection& connection);
  static void close_both(Connection& connection);
  Connection* pick(std::size_t which);
  void wake() const;

  std::uint16_t broker_port_;
  std::string address_;
  int listener_ = -1;
  int wake_ = -1;

  mutable std::mutex mutex_;  // guards all members below
  std::vector<std::unique_ptr<Connection>> connections_;
  Clock::time_point all_stalled_until_{};
  Clock::time_point refilled_{};
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace weft::support
