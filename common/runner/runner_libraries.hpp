// SPDX-License-Identifier: MIT
// The shipped libraries of a runner, which inherits descriptors of exactly the bytes that the client has
// shipped, and whose loader has an auditor that loads the libraries from these descriptors (worker/loader/).
// The functions here check that the loader did so, and remove the loader's variables from the environment, so
// that processes started by tasks do not inherit them.
#pragma once

#include <string>

#include "common/runner/mapped_objects.hpp"

namespace weft::runner {

/// Call before any initialiser. Changes `environment` in place. Ends the process with kExitLibraries when a
/// library is not the shipped one.
void take_libraries(char** environment);

/// Call after static initialisation: opens the plug-ins whose functions are submitted. A plug-in that cannot
/// be opened is reported on stderr, and its functions are missing.
void open_plugins();

/// The `object` of definition_of(), in the client's notation.
std::string object_of(const CodeLocation& where);

}  // namespace weft::runner
