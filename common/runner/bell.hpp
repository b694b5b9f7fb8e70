// SPDX-License-Identifier: MIT
// Bell: wakes the other end of a runner channel while that end sleeps, and passes the descriptors of large
// messages. No other message calls the bell, so the calls may be virtual. SocketBell is the implementation;
// the simulation has another.
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

  /// Wakes the other end; passes a copy of `descriptor` if it is not -1. Returns 0 or errno; EAGAIN: earlier
  /// wake-ups that the other end has not yet received will wake it.
  virtual int wake(int descriptor) = 0;
  /// Receives the next wake-up. `wait`: blocks until there is one.
  virtual Heard listen(bool wait) = 0;
  /// Closes a descriptor that listen() has returned.
  virtual void close(int descriptor) = 0;
};

}  // namespace weft::runner
