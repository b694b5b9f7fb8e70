// SPDX-License-Identifier: MIT
// Starts the real binaries as processes, with their output in files, and ends them by pid. No function here
// sleeps for a fixed time: each waits for a condition, with a deadline.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/condition.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::support {

/// Variables in addition to those of this process.
using Environment = std::map<std::string, std::string>;

/// A process with its output in files. The destructor kills and reaps a process that still runs.
class Process {
 public:
  struct Options {
    Environment environment;
    std::filesystem::path directory;  // working directory; empty: that of the test
    std::filesystem::path output;     // writes PATH.out and PATH.err; empty: temporary files
  };
  explicit Process(std::vector<std::string> argv) : Process(std::move(argv), Options{}) {}
  Process(std::vector<std::string> argv, Options options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number) const;
  /// Exit code, or 128 + signal; nullopt when it still runs after `within`.
  std::optional<int> wait(std::chrono::milliseconds within = 20s);
  /// Sends SIGKILL and reaps the process.
  void kill();
  std::string out() const;
  std::string err() const;
  /// Whether the process prints `text` to stdout or stderr before `within` is over.
  bool prints(const std::string& text, std::chrono::milliseconds within = 10s);

 private:
  std::unique_ptr<TempDirectory> directory_;
  std::string out_;  // path of the file for stdout
  std::string err_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// The path of a built program, such as weft-broker, weft or an example.
std::string binary(const std::string& name);

/// From `weft status --json`: the number behind `key` at the top level, or the length of the list behind it;
/// -1 if the broker does not answer or has no such key.
long status_number(const std::string& address, const std::string& key);
std::string status_json(const std::string& address);

/// Processes whose parent is `pid`.
std::vector<pid_t> children_of(pid_t pid);
/// Children of `pid`, their children, and so on.
std::vector<pid_t> descendants_of(pid_t pid);
/// The runners of a worker, and the processes that tasks have started.
std::vector<pid_t> runners_of(pid_t worker);
bool process_exists(pid_t pid);

}  // namespace weft::support
