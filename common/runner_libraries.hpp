// SPDX-License-Identifier: MIT
// A runner's own libraries: it inherits descriptors of the very bytes that the client has shipped, and a
// loader that was told to take these (worker/loader/). Here the runner checks that it did, and removes from
// its environment all that was there for the loader: processes that a task starts must not inherit it.
#pragma once

#include <string>

#include "common/mapped_objects.hpp"

namespace weft::runner {

/// Before any initialiser. `environment` is changed in place. Ends the process with kExitLibraries when a
/// library is not the one that was shipped.
void take_libraries(char** environment);

/// After static initialisation: opens the plug-ins whose functions are submitted. What cannot be opened is
/// said on stderr, and its functions are missing.
void open_plugins();

/// The `object` of definition_of(), as the client says it.
std::string object_of(const CodeLocation& where);

}  // namespace weft::runner
