// SPDX-License-Identifier: MIT
// Presence: the peer's half of the Paranoid Pirate pattern, shared by worker and client: connect, send HELLO,
// send heartbeats, detect silence, back off with jitter, and reconnect. Pure; embedded in worker::WorkerCore
// and client::ClientCore, which turn its needs into actions:
//
//   Need::connect    -> open a link;  then on_connected() (send HELLO) or on_disconnected()
//   Need::heartbeat  -> send HEARTBEAT
//   Need::close      -> close the link; Presence is backing off already, as after on_disconnected()
//
//   backing_off --> connecting --> greeting --> joined --+
//        ^              |              |                 |
//        +--------------+--------------+-----------------+   disconnected, silent, refused
#pragma once

#include <cstdint>

#include "common/base/time.hpp"

namespace weft {

class Presence {
 public:
  struct Settings {
    Duration backoff_min = std::chrono::milliseconds(100);
    Duration backoff_max = std::chrono::seconds(1);
    Duration connect_timeout = std::chrono::seconds(3);  // until the handshake has completed
    Duration greet_timeout = std::chrono::seconds(3);    // from HELLO to WELCOME
  };
  enum class Stage { backing_off, connecting, greeting, joined };
  enum class Need { nothing, connect, heartbeat, close };

  Presence(Settings settings, std::uint64_t jitter_seed) : settings_(settings), random_(jitter_seed) {}

  /// The link is up, and HELLO is being sent.
  void on_connected(Time now);
  /// WELCOME was received; `interval`, `liveness` and `minor` are the broker's.
  void on_welcome(Time now, Duration interval, std::uint32_t liveness, std::uint8_t minor);
  /// The link is down, or was never up.
  void on_disconnected(Time now);
  /// A message of any kind was received from the broker.
  void on_heard(Time now) { heard_ = now; }
  /// A message of any kind was sent to the broker.
  void on_sent(Time now) { sent_ = now; }

  /// What is due at `now`; call again until it returns `nothing`. The first need is `connect`.
  Need tick(Time now);
  /// When to call tick() next.
  Time deadline() const;

  Stage stage() const { return stage_; }
  bool joined() const { return stage_ == Stage::joined; }
  /// The minor version of the broker that sent WELCOME last; 0 before the first.
  std::uint8_t broker_minor() const { return broker_minor_; }
  /// Consecutive failed attempts, for the log.
  std::uint32_t failures() const { return failures_; }

 private:
  void back_off(Time now);
  Time expiry() const { return heard_ + interval_ * liveness_; }

  Settings settings_;
  std::uint64_t random_;
  Stage stage_ = Stage::backing_off;
  Time due_{};    // backing_off: when to connect; connecting, greeting: when to give up
  Time heard_{};  // joined: when the last message came
  Time sent_{};   // joined: when the last message was sent
  // The last tick. After a long gap this process was stalled, so the silence is not the broker's.
  Time ticked_{};
  Duration interval_{};
  std::uint32_t liveness_ = 0;
  std::uint8_t broker_minor_ = 0;
  std::uint32_t failures_ = 0;
};

}  // namespace weft
