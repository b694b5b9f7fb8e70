// SPDX-License-Identifier: MIT
// A program that was built for another processor (-march=native) dies of SIGILL. A runner reports the name of
// the missing instruction set extension, if the instruction reveals it, and the task has not crashed.
#pragma once

#include <span>
#include <string_view>

namespace weft::runner {

/// The instruction set extension to which the first instruction of `code` belongs, for example "AVX-512"; ""
/// if a compiler would use no such extension, as for the ud2 of a trap. REQUIRES: `code` has at least 15
/// bytes, unless the mapping ends before.
std::string_view instruction_set_of(std::span<const unsigned char> code);

/// Installs a SIGILL handler: an instruction that this processor lacks ends the process with
/// kExitInstructionSet and a sentence on stderr. Other illegal instructions raise SIGILL as before.
void explain_illegal_instructions();

}  // namespace weft::runner
