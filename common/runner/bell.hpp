// SPDX-License-Identifier: MIT
// Bell: what a runner channel needs besides memory: a way to wake the other end while it sleeps, and to pass
// the descriptor of a large message. No other message costs a call, so the calls may be virtual. SocketBell
// is the real one.
#pragma once

namespace weft::runner {

class Bell {
 public:
  struct Heard {
    enum class Kind { wake_up, nothing, end, error } kind = Kind::nothing;
    int descriptor = -1;  // that came with the wake-up, owned by the caller from now on; -1: none
    int error = 0;        // errno
  };

  virtual ~Bell() = default;

  /// Wakes the other end; passes a copy of `descriptor` if it is not -1. Returns 0 or errno; EAGAIN: the
  /// other end has not yet heard earlier wake-ups, which will wake it.
  virtual int wake(int descriptor) = 0;
  /// Hears the next wake-up. `wait`: blocks until there is one.
  virtual Heard listen(bool wait) = 0;
  /// Closes a descriptor that was heard.
  virtual void close(int descriptor) = 0;
};

}  // namespace weft::runner
