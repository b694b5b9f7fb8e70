// SPDX-License-Identifier: MIT
// What machine a program is for, from its ELF header, before anybody tries to execute it.
#pragma once

#include <string>

namespace weft::worker {

/// "" when the program behind `fd` is for the machine that this process runs on, else a sentence
/// that says what it is.
std::string why_not_for_this_machine(int fd);

}  // namespace weft::worker
