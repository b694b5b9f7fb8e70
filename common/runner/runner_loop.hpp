// SPDX-License-Identifier: MIT
// Runner mode: reads WEFT_RUNNER, sends HELLO, and executes tasks strictly in order until the channel closes.
// Shipped programs and weft-runner share this loop; they differ in where functions come from (Source).
// Single-threaded, but a task may start threads.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner/runner_channel.hpp"

namespace weft::runner {

/// Exit codes of a runner that cannot continue; the reason is on stderr.
inline constexpr int kExitVersion = 120;    // the agent speaks another version of the channel
inline constexpr int kExitChannel = 121;    // WEFT_RUNNER, the memory or a message is malformed
inline constexpr int kExitLoad = 122;       // weft-runner: a library cannot be loaded
inline constexpr int kExitLibraries = 123;  // the loader has loaded another file than the shipped library

/// Maximum size of an exception's message in a result; the rest is truncated.
inline constexpr std::size_t kErrorMessageBytesMax = 10'000;

/// The content of WEFT_RUNNER. The runner owns both descriptors.
struct Start {
  int version = 0;
  int channel = -1;
  int memory = -1;
};

/// Parses WEFT_RUNNER; nullopt: malformed.
std::optional<Start> parse_start(std::string_view text);

/// The WEFT_RUNNER of this process, which was read and removed before any static initialiser ran; nullptr if
/// this process is not a runner.
const Start* start();

/// Thrown by Source::execute for a failure that was not an exception in this process.
struct Failure {
  std::string type;
  std::string message;
};

/// The function to execute: function task.function_index of the program, or, if `named` is not null, the task
/// of that name.
struct Call {
  const RunTask& task;
  const RunNamed* named = nullptr;
};

/// Where functions come from.
struct Source {
  std::vector<FunctionEntry> functions;
  /// Returns the encoded result. An exception fails the task: a Failure as it is, any other with its type and
  /// what(). `payload` is valid during the call.
  std::function<detail::ByteBuffer(const Call& call, std::string_view payload)> execute;
};

/// The registered functions of this program.
Source program_source();

/// Call before any initialiser: decides whether this process is a runner, and removes the runner's variables
/// from `environment`. In a client, opens the program's files. Later calls do nothing.
void start_process(char** environment);

/// Whether static initialisation is over and tasks run.
bool is_serving();

/// Serves until the channel closes; returns the exit code. REQUIRES: called once in a process.
int serve(const Start& start, const Source& source);

/// In a runner: serves the program's functions and ends the process. Otherwise returns.
void serve_program_if_runner();

}  // namespace weft::runner
