// SPDX-License-Identifier: MIT
// Called by the start-up code instead of main in a program that is linked with -Wl,--wrap=main. The linker
// takes this file from the archive only then, because only then __wrap_main is undefined.
#include "common/runner/runner_loop.hpp"

namespace {

void start(int, char**, char** environment) { weft::runner::start_process(environment); }

// Runs before the initialisers of all shared libraries. Only an executable may have such an array.
[[gnu::section(".preinit_array"), gnu::used]] void (*start_before_initialisers)(int, char**, char**) = start;

}  // namespace

extern "C" {

int __real_main(int argc, char** argv, char** environment);

int __wrap_main(int argc, char** argv, char** environment) {
  weft::runner::serve_program_if_runner();
  return __real_main(argc, argv, environment);
}
}
