// SPDX-License-Identifier: MIT
// The shipped libraries of a runner: it inherits descriptors of exactly the bytes that the client has
// shipped, and its loader has an auditor that takes the libraries from these (worker/loader/). This checks
// that the loader did so, and removes the loader's variables from the environment, so that processes started
// by tasks do not inherit them.
#pragma once

#include <string>

#include "common/runner/mapped_objects.hpp"

namespace weft::runner {

/// Call before any initialiser. Changes `environment` in place. Ends the process with kExitLibraries when a
/// library is not the shipped one.
void take_libraries(char** environment);

/// Call after static initialisation: opens the plug-ins whose functions are submitted. If one cannot be
/// opened, writes this to stderr; its functions are then missing.
void open_plugins();

/// The `object` of definition_of(), in the client's notation.
std::string object_of(const CodeLocation& where);

}  // namespace weft::runner
