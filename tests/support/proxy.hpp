// SPDX-License-Identifier: MIT
// A TCP proxy in front of the broker that injects network faults: it cuts, stalls, slows and half-closes
// connections. It runs in its own thread; every function may be called from any thread.
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

  /// Listens on a free port of loopback and forwards every connection to `broker`, such as "127.0.0.1:40123".
  explicit Proxy(const std::string& broker);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// The address to connect to instead of the broker's, such as "127.0.0.1:40124".
  const std::string& address() const { return address_; }
  std::size_t connections() const;

  /// Closes connection `which` (modulo the number of connections) on both sides. This function and the next
  /// three return false if there is no connection.
  bool cut(std::size_t which);
  /// Holds back all bytes in both directions for `time`; none is lost.
  bool stall(std::size_t which, std::chrono::milliseconds time);
  /// For `time`, forwards at most `bytes` every 10 ms in each direction.
  bool slow(std::size_t which, std::size_t bytes, std::chrono::milliseconds time);
  /// Ends the direction to the broker, which sees an orderly end of what the peer sends; bytes that have not
  /// yet been forwarded are lost. The direction to the peer goes on.
  bool half_close(std::size_t which);
  /// As stall(), for all connections, including those made during `time`.
  void stall_all(std::chrono::milliseconds time);
  /// Ends all stalls and slow periods; cut and half-closed connections stay as they are.
  void heal();

 private:
  struct Direction {
    std::string waiting;  // read and not yet written
    bool ended = false;   // end of file was read
    bool closed = false;  // and passed on to the other side
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
