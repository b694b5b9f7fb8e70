// SPDX-License-Identifier: MIT
// Runner mode: a worker starts the shipped program with WEFT_RUNNER in its environment, and then
// main does not run; the functions are served from here instead.
#pragma once

namespace weft {

/// True in a process that a worker started as a runner, from before static initialisation on.
bool in_runner() noexcept;

/// In a runner: serves tasks and never returns. Else: returns at once and does nothing.
///
/// Programs that are linked with -Wl,--wrap=main (the CMake target weft::client and pkg-config see to
/// it) call it before main by themselves, after all static initialisers. There a call from a static
/// initialiser returns, even in a runner, because functions are still being registered; whoever
/// calls it then asks in_runner() next and does nothing. A program that is linked by hand without
/// that option calls it first thing in main.
void init();

}  // namespace weft
