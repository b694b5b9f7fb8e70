// SPDX-License-Identifier: MIT
// Real processes of the real binaries, with their output in files; each is ended by its pid. No function
// sleeps for a fixed time: all wait for a condition, with a deadline.
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

/// A process with its output in files. The destructor kills and reaps it if it still runs.
class Process {
 public:
  struct Options {
    Environment environment;
    std::filesystem::path directory;  // working directory; empty: that of this process
    std::filesystem::path output;  // output goes to PATH.out and PATH.err, which stay; empty: temporary files
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
  /// Whether `text` appears on the process's stdout or stderr.
  bool prints(const std::string& text, std::chrono::milliseconds within = 10s);

 private:
  std::unique_ptr<TempDirectory> directory_;
  std::string out_;  // files
  std::string err_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// The path of a built program: weft-broker, weft, an example ...
std::string binary(const std::string& name);

/// From `weft status --json`: the number under `key` at the top level, or the length of the list there; -1 if
/// the key is missing or the command fails.
long status_number(const std::string& address, const std::string& key);
std::string status_json(const std::string& address);

/// Processes whose parent is `pid`.
std::vector<pid_t> children_of(pid_t pid);
/// All descendants of `pid`.
std::vector<pid_t> descendants_of(pid_t pid);
/// The runners of a worker and the processes that these have started, without the fork server and reapers.
std::vector<pid_t> runners_of(pid_t worker);
bool process_exists(pid_t pid);

}  // namespace weft::support
