// SPDX-License-Identifier: MIT
// Asks the kernel how a client's connection has ended, and which process is at its other end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/system/fd.hpp"

namespace weft::broker {

/// A duplicate of libzmq's descriptor `fd`, owned by the caller: after libzmq has closed `fd`, the kernel can
/// still be asked how the connection ended. Empty when it cannot be duplicated.
Fd second_descriptor(int fd);

/// Whether the peer's kernel has ended the connection, by EOF or reset; false: this host's kernel gave it up.
/// `connection` comes from second_descriptor(); true if it is empty. A peer that is alive sends something at
/// least every `heard_within`.
bool is_ended_by_peer(const Fd& connection, std::chrono::milliseconds heard_within);

/// A pidfd of the process at the other end of `connection`, if that is process `pid` on this host: it must
/// have the socket open. Empty when the process is on another host or belongs to another user.
Fd process_at_other_end(const Fd& connection, const std::string& host, std::uint64_t pid);

}  // namespace weft::broker
