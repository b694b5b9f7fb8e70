// SPDX-License-Identifier: MIT
// Which machine a program was built for, by its ELF header, so that the error is clear before it is executed.
#pragma once

#include <string>

namespace weft::worker {

/// "" when the program behind `fd` is for the machine that this process runs on; otherwise a sentence that
/// names both.
std::string why_not_for_this_machine(int fd);

}  // namespace weft::worker
