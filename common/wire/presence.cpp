// SPDX-License-Identifier: MIT
#include "common/wire/presence.hpp"

namespace weft {

namespace {

/// splitmix64: well-distributed numbers from a counter, good enough for jitter and the same on all platforms.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

void Presence::on_connected(Time now) {
  stage_ = Stage::greeting;
  due_ = now + settings_.greet_timeout;
}

void Presence::on_welcome(Time now, Duration interval, std::uint32_t liveness, std::uint8_t minor) {
  stage_ = Stage::joined;
  // Clamped, since an absurd value from the broker would overflow expiry().
  interval_ = std::clamp<Duration>(interval, std::chrono::milliseconds(10), std::chrono::hours(1));
  liveness_ = std::clamp(liveness, 1U, 1000U);
  broker_minor_ = minor;
  heard_ = sent_ = ticked_ = now;
  failures_ = 0;
}

void Presence::on_disconnected(Time now) { back_off(now); }

void Presence::back_off(Time now) {
  Duration wait = settings_.backoff_min;
  for (std::uint32_t i = 0; i < failures_ && wait < settings_.backoff_max; ++i) wait *= 2;
  wait = std::min(wait, settings_.backoff_max);
  // 50 % jitter, so that a thousand workers do not reconnect at once.
  const auto half = static_cast<std::uint64_t>(wait.count()) / 2;
  due_ = now + Duration(static_cast<Duration::rep>(half + next_random(random_) % (half + 1)));
  stage_ = Stage::backing_off;
  ++failures_;
}

Presence::Need Presence::tick(Time now) {
  switch (stage_) {
    case Stage::backing_off:
      if (now < due_) return Need::nothing;
      stage_ = Stage::connecting;
      due_ = now + settings_.connect_timeout;
      return Need::connect;
    case Stage::connecting:
    case Stage::greeting:
      if (now < due_) return Need::nothing;
      back_off(now);
      return Need::close;
    case Stage::joined:
      break;
  }
  if (now > ticked_ + interval_ * 2) heard_ = std::max(heard_, now - interval_);  // this process was stalled
  ticked_ = now;
  if (now >= expiry()) {
    back_off(now);
    return Need::close;
  }
  if (now >= sent_ + interval_) {
    sent_ = now;
    return Need::heartbeat;
  }
  return Need::nothing;
}

Time Presence::deadline() const { return joined() ? std::min(sent_ + interval_, expiry()) : due_; }

}  // namespace weft
