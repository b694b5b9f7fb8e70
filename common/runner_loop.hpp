// SPDX-License-Identifier: MIT
// Runner mode, from the inside: reads what the agent put into the environment, says HELLO, then
// executes tasks strictly in order until the channel ends. One loop for shipped programs and for
// weft-runner; they differ in where functions come from (Source). Single-threaded; a task may start
// threads of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner_channel.hpp"

namespace weft::runner {

/// Exit codes of a runner that could not go on, with the reason on stderr.
inline constexpr int kExitVersion = 120;  // the agent speaks another version of the channel
inline constexpr int kExitChannel = 121;  // WEFT_RUNNER, the memory or a message made no sense
inline constexpr int kExitLoad = 122;     // weft-runner: a library cannot be loaded
inline constexpr int kExitLibraries =
    123;  // the loader has taken another library than the one that was shipped

inline constexpr std::size_t kErrorMessageBytesMax = 10'000;  // of an exception's message; the rest is cut

/// What WEFT_RUNNER said. The runner owns both descriptors.
struct Start {
  int version = 0;
  int channel = -1;
  int memory = -1;
};

/// The content of WEFT_RUNNER, or nullopt when it is malformed.
std::optional<Start> parse_start(std::string_view text);

/// What the environment of this process said, which was read (and removed) before any static
/// initialiser ran; nullptr when this is no runner.
const Start* start();

/// Thrown by Source::execute for a failure that is no exception of this process.
struct Failure {
  std::string type;
  std::string message;
};

/// What is to be executed: function task.function_index of the program, or, when `named` is there, what it
/// names.
struct Call {
  const RunTask& task;
  const RunNamed* named = nullptr;
};

/// Where functions come from.
struct Source {
  std::vector<FunctionEntry> functions;
  /// The encoded result. What it throws makes the task fail: Failure as it is, everything else as type
  /// and what(). `payload` is valid during the call.
  std::function<detail::ByteBuffer(const Call& call, std::string_view payload)> execute;
};

/// The registered functions of this program.
Source program_source();

/// Before any initialiser: decides whether this is a runner, and takes what is meant for it out of
/// `environment`. A client's files are opened. Does it once.
void start_process(char** environment);

/// Static initialisation is over, and tasks run.
bool is_serving();

/// Serves until the channel ends; returns the exit code. REQUIRES: called once in a process.
int serve(const Start& start, const Source& source);

/// In a runner: serves the program's functions and ends the process. Else: returns.
void serve_program_if_runner();

}  // namespace weft::runner
