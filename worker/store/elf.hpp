// SPDX-License-Identifier: MIT
// Checks by the ELF header which machine a program was built for, before an exec would fail without a clear
// error.
#pragma once

#include <string>

namespace weft::worker {

/// "" when the program behind `fd` is for the machine that this process runs on; otherwise a sentence that
/// names both.
std::string why_not_for_this_machine(int fd);

}  // namespace weft::worker
