// SPDX-License-Identifier: MIT
// Which mode this process is in, decided before any static initialiser can start a process that would
// inherit WEFT_RUNNER or the channel.
#include "weft/init.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/runner_loop.hpp"

// There only in programs that are linked with -Wl,--wrap=main.
extern "C" [[gnu::weak]] int __wrap_main(int argc, char** argv, char** environment);

namespace weft {
namespace {

// Plain data with constant initialisation: written by a constructor that runs before all others.
bool is_runner = false;
bool is_serving = false;
runner::Start the_start;

[[gnu::constructor(101)]] void read_environment() {
  const char* text = std::getenv(runner::kEnvironment);
  if (text == nullptr) return;
  is_runner = true;
  if (const auto start = runner::parse_start(text)) the_start = *start;
  unsetenv(runner::kEnvironment);
  for (const int fd : {the_start.channel, the_start.memory})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

}  // namespace

bool in_runner() noexcept { return is_runner; }

void init() {
  if (&__wrap_main == nullptr) runner::serve_program_if_runner();
}

namespace runner {

const Start* start() { return is_runner ? &the_start : nullptr; }

void serve_program_if_runner() {
  // While serving, a task that makes a Client of its own comes by here too.
  if (!is_runner || is_serving) return;
  is_serving = true;
  const int code = serve(the_start, program_source());
  // Not exit(): main never ran, so what the program would do at its end must not be done either.
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(code);
}

}  // namespace runner
}  // namespace weft
