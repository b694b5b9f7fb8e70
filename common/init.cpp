// SPDX-License-Identifier: MIT
// What happens before any initialiser: which mode this process is in is decided before one can start a
// process that would inherit WEFT_RUNNER, the channel or what was meant for the loader; and the files of a
// client are opened before they can be replaced.
#include "weft/init.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "common/instruction_sets.hpp"
#include "common/mapped_objects.hpp"
#include "common/runner_libraries.hpp"
#include "common/runner_loop.hpp"
#include "common/standard_files.hpp"

// There only in programs that are linked with -Wl,--wrap=main.
extern "C" [[gnu::weak]] int __wrap_main(int argc, char** argv, char** environment);

namespace weft {
namespace {

// Plain data with constant initialisation: written by a constructor that runs before all others.
bool is_runner = false;
bool serves = false;
runner::Start the_start;

bool has_started = false;

/// Takes WEFT_RUNNER out of `environment`: the C library may not have set `environ` yet.
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

/// For programs that are linked without -Wl,--wrap=main, and so have no wrap_main.cpp.
[[gnu::constructor(101)]] void start_by_constructor() { runner::start_process(environ); }

}  // namespace

bool in_runner() noexcept { return is_runner; }

void init() {
  if (&__wrap_main == nullptr) runner::serve_program_if_runner();
}

namespace runner {

void start_process(char** environment) {
  if (std::exchange(has_started, true) || environment == nullptr) return;
  open_standard_files();  // before anything else is opened
  if (!take_runner_variable(environment)) return open_program_files();
  for (const int fd : {the_start.channel, the_start.memory})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  take_libraries(environment);
  explain_illegal_instructions();
}

bool is_serving() { return serves; }

const Start* start() { return is_runner ? &the_start : nullptr; }

void serve_program_if_runner() {
  // While serving, a task that makes a Client of its own comes by here too.
  if (!is_runner || serves) return;
  serves = true;
  open_plugins();
  const int code = serve(the_start, program_source());
  // Not exit(): main never ran, so what the program would do at its end must not be done either.
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(code);
}

}  // namespace runner
}  // namespace weft
