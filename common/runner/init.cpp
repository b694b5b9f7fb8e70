// SPDX-License-Identifier: MIT
// Code that runs before any initialiser. It decides whether this process is a runner, before an initialiser
// can start a process that would inherit WEFT_RUNNER, the channel or the loader's variables. In a client it
// opens the program's files, before they can be replaced.
#include "weft/init.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "common/runner/instruction_sets.hpp"
#include "common/runner/mapped_objects.hpp"
#include "common/runner/runner_libraries.hpp"
#include "common/runner/runner_loop.hpp"
#include "common/system/standard_files.hpp"

// Defined only in programs that are linked with -Wl,--wrap=main.
extern "C" [[gnu::weak]] int __wrap_main(int argc, char** argv, char** environment);

namespace weft {
namespace {

// Constant-initialised, since a constructor that runs before all others writes them.
bool is_runner = false;
bool serves = false;
runner::Start the_start;

bool has_started = false;

/// Removes WEFT_RUNNER from `environment`; the C library may not have set `environ` yet.
bool take_runner_variable(char** environment) {
  const std::size_t size = std::strlen(runner::kEnvironment);
  char** keep = environment;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    const bool is_it = std::strncmp(*entry, runner::kEnvironment, size) == 0 && (*entry)[size] == '=';
    if (!is_it) {
      *keep++ = *entry;
      continue;
    }
    is_runner = true;
    if (const auto start = runner::parse_start(*entry + size + 1)) the_start = *start;
  }
  *keep = nullptr;
  return is_runner;
}

/// For programs that are linked without -Wl,--wrap=main, and so without wrap_main.cpp.
[[gnu::constructor(101)]] void start_by_constructor() { runner::start_process(environ); }

}  // namespace

bool in_runner() noexcept { return is_runner; }

void init() {
  if (&__wrap_main == nullptr) runner::serve_program_if_runner();
}

namespace runner {

void start_process(char** environment) {
  if (std::exchange(has_started, true) || environment == nullptr) return;
  open_standard_files();  // before any other file is opened
  if (!take_runner_variable(environment)) return open_program_files();
  for (const int fd : {the_start.channel, the_start.memory})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  take_libraries(environment);
  explain_illegal_instructions();
}

bool is_serving() { return serves; }

const Start* start() { return is_runner ? &the_start : nullptr; }

void serve_program_if_runner() {
  // A task that creates a Client gets here while the runner serves it.
  if (!is_runner || serves) return;
  serves = true;
  open_plugins();
  const int code = serve(the_start, program_source());
  // Not exit(): main never ran, so its clean-up must not run either.
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(code);
}

}  // namespace runner
}  // namespace weft
