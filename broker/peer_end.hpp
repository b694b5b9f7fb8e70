// SPDX-License-Identifier: MIT
// How the connection or the process of a client has ended, as far as the kernel can tell.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/system/fd.hpp"

namespace weft::broker {

/// A second descriptor of the connection that libzmq has as `fd`: after libzmq has closed its own, the kernel
/// can still be asked how the connection ended. Empty when there is none.
Fd second_descriptor(int fd);

/// Whether the peer's kernel has ended the connection, by EOF or reset. False: this side's kernel gave it up.
/// A peer that is alive is heard of every `heard_within`. `connection` is of second_descriptor(); empty:
/// true.
bool is_ended_by_peer(const Fd& connection, std::chrono::milliseconds heard_within);

/// The process at the other end of `connection` as a pidfd, if it is `pid` on this host: it must have the
/// socket. Empty when it is elsewhere, or of another user.
Fd process_at_other_end(const Fd& connection, const std::string& host, std::uint64_t pid);

}  // namespace weft::broker
