// SPDX-License-Identifier: MIT
// A program that was built for another processor (-march=native) dies of SIGILL. In a runner that is said
// with the name of what the processor lacks, as far as the instruction tells, and is no crash of the task.
#pragma once

#include <span>
#include <string_view>

namespace weft::runner {

/// What the instruction at the beginning of `code` (at least 15 bytes, or up to the end of what is mapped)
/// belongs to, for example "AVX-512"; "": nothing that a compiler takes from another processor, such as the
/// ud2 of a trap.
std::string_view instruction_set_of(std::span<const unsigned char> code);

/// From now on an instruction that this processor lacks ends the process with kExitInstructionSet, and a
/// sentence on stderr. Other illegal instructions are SIGILL as before.
void explain_illegal_instructions();

}  // namespace weft::runner
