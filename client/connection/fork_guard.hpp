// SPDX-License-Identifier: MIT
// Distinguishes a process from its forked children without a system call.
#pragma once

namespace weft::client {

/// A number that changes in every child forked after the first call.
unsigned fork_generation();

}  // namespace weft::client
