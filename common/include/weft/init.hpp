// SPDX-License-Identifier: MIT
// Runner mode: a worker starts the shipped program with WEFT_RUNNER in its environment. Then main does not
// run, and the program's functions are served instead.
#pragma once

namespace weft {

/// Whether a worker has started this process as a runner; valid even before static initialisation.
bool in_runner() noexcept;

/// In a runner: serves tasks and never returns. Otherwise does nothing.
///
/// Programs that are linked with -Wl,--wrap=main (as by the CMake target weft::client and pkg-config) call it
/// automatically, after static initialisation and before main. In such a program a call from a static
/// initialiser returns even in a runner, because functions are still being registered; the caller should then
/// check in_runner() and do nothing. A program that is linked without that option must call it first in main.
void init();

}  // namespace weft
