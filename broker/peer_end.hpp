// SPDX-License-Identifier: MIT
// Asks the kernel how a client's connection has ended, and which process is at its other end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/system/fd.hpp"

namespace weft::broker {

/// Duplicates descriptor `fd` of libzmq, so that the kernel can still be asked how the connection ended after
/// libzmq has closed `fd`. Empty when that fails.
Fd second_descriptor(int fd);

/// Whether the peer's kernel has ended the connection, by EOF or reset; false: this side's kernel gave up. A
/// peer that is alive sends something every `heard_within`. `connection` is from second_descriptor(); if it
/// is empty, the answer is true.
bool is_ended_by_peer(const Fd& connection, std::chrono::milliseconds heard_within);

/// A pidfd of the client process at the other end of `connection`, if process `pid` on this host has that
/// socket. Empty when the process is on another host, or belongs to another user.
Fd process_at_other_end(const Fd& connection, const std::string& host, std::uint64_t pid);

}  // namespace weft::broker
