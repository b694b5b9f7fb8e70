// SPDX-License-Identifier: MIT
// SocketBell: the bell of a runner channel, over one end of a socketpair of type SOCK_SEQPACKET.
#pragma once

#include "common/runner/bell.hpp"

namespace weft::runner {

class SocketBell final : public Bell {
 public:
  /// `socket` is owned by the caller and must outlive this object. Calls block if it is blocking.
  explicit SocketBell(int socket) : socket_(socket) {}

  int wake(int descriptor) override;
  /// Anything that a task writes to the socket by accident counts as a wake-up, and descriptors in it are
  /// closed.
  Heard listen(bool wait) override;
  void close(int descriptor) override;

 private:
  int socket_;
};

}  // namespace weft::runner
