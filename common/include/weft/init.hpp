// SPDX-License-Identifier: MIT
// Runner mode: a worker starts the shipped program with WEFT_RUNNER in its environment. Then main does not
// run, and the program's functions are served instead.
#pragma once

namespace weft {

/// Whether a worker has started this process as a runner; valid even before static initialisation.
bool in_runner() noexcept;

/// In a runner: serves tasks and never returns. Otherwise does nothing.
///
/// A program that is linked without -Wl,--wrap=main must call init() first in main. With that option, which
/// the CMake target weft::client and pkg-config add, tasks are served automatically, after static
/// initialisation and before main, and init() does nothing: a static initialiser that must not run in a
/// runner checks in_runner().
void init();

}  // namespace weft
