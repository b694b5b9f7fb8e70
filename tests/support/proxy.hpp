// SPDX-License-Identifier: MIT
// A TCP proxy in front of the broker that does to connections what networks do: cuts, stalls, slows and
// half-closes them. One thread of its own; every function may be called from any other.
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

  /// "127.0.0.1:40124"
  const std::string& address() const { return address_; }
  std::size_t connections() const;

  /// Connection `which` (modulo their number) is closed on both sides. These return false when there is none.
  bool cut(std::size_t which);
  /// Nothing passes in either direction for `time`; nothing is lost.
  bool stall(std::size_t which, std::chrono::milliseconds time);
  /// No more than `bytes` pass in 10 ms, each way, for `time`.
  bool slow(std::size_t which, std::size_t bytes, std::chrono::milliseconds time);
  /// The broker is told that the peer will send no more, and what it sends stays here; the other direction
  /// goes on.
  bool half_close(std::size_t which);
  /// As stall(), for all that are there and all that come.
  void stall_all(std::chrono::milliseconds time);
  /// Ends every fault but cut and half-closed.
  void heal();

 private:
  struct Direction {
    std::string waiting;  // read and not yet written
    bool ended = false;   // no more will be read
    bool closed = false;  // and the other side was told
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

  mutable std::mutex mutex_;  // of all below
  std::vector<std::unique_ptr<Connection>> connections_;
  Clock::time_point all_stalled_until_{};
  Clock::time_point refilled_{};
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace weft::support
