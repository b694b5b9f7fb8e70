// SPDX-License-Identifier: MIT
// Tells a process from its forked children without a system call for each question.
#pragma once

namespace weft::client {

/// A number that is another one in every child that fork() made after the first call.
unsigned fork_generation();

}  // namespace weft::client
