// SPDX-License-Identifier: MIT
// weft-runner: the runner for tasks that are not functions of a shipped program: tasks of libraries, by name,
// and commands. Started by weft-worker, or by a user with --list.
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "common/runner/runner_loop.hpp"
#include "weft/detail/exception_text.hpp"
#include "weft/function.hpp"
#include "worker/runners/runner_command.hpp"
#include "worker/runners/runner_library.hpp"

namespace {

using namespace weft;

detail::ByteBuffer execute(const runner::Libraries& libraries, const runner::Call& call,
                           std::string_view payload) {
  switch (call.named != nullptr ? call.named->kind : wire::TaskKind::program) {
    case wire::TaskKind::library:
      return libraries.call(*call.named, payload);
    case wire::TaskKind::command:
      return detail::encode(runner::run_command(detail::decode<detail::CommandRequest>(payload)));
    case wire::TaskKind::program:
    case wire::TaskKind::attached:
    case wire::TaskKind::unknown:
      break;
  }
  throw runner::Failure{"", "weft-runner cannot run the functions of a program"};
}

int list(const runner::Libraries& libraries) {
  for (const auto& [name, signature] : libraries.functions())
    std::printf("%s %s\n", name.c_str(), signature.c_str());
  return 0;
}

int run(const std::vector<std::string>& paths, bool only_list) {
  runner::Libraries libraries;
  try {
    for (const std::string& path : paths) libraries.load(path);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft-runner: %s\n", error.what());
    return only_list ? 1 : runner::kExitLoad;
  }
  if (only_list) return list(libraries);
  const runner::Start* start = runner::start();
  if (start == nullptr) {
    std::fprintf(stderr,
                 "weft-runner: this program is started by weft-worker; with --list it prints the tasks of "
                 "libraries\n");
    return 2;
  }
  return runner::serve(*start, {.functions = libraries.functions(),
                                .execute = [&](const runner::Call& call, std::string_view payload) {
                                  return execute(libraries, call, payload);
                                }});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs the tasks of task libraries, and commands, for weft-worker.", "weft-runner");
  std::vector<std::string> paths;
  bool only_list = false;
  app.add_option("--load", paths, "a task library (may be given several times)")->type_name("LIB.so");
  app.add_flag("--list", only_list,
               "print the tasks of the libraries with their signatures, one a line, and exit");
  app.set_version_flag("--version", WEFT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const int code = run(paths, only_list);
  // _exit(), since a task may have left threads that still use objects that exit() would destroy.
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(code);
}
