// SPDX-License-Identifier: MIT
// Real processes of the real binaries, with their output in files, ended by pid. Nothing here pauses for
// a fixed time: everything waits for a condition, with a deadline.
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

/// A process with its output in files. Killed and reaped when it goes, if it still runs.
class Process {
 public:
  struct Options {
    Environment environment;
    std::filesystem::path directory;  // to run in; empty: this process's
    std::filesystem::path output;     // PATH.out and PATH.err stay; empty: they go with this object
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
  /// SIGKILL, and reaped.
  void kill();
  std::string out() const;
  std::string err() const;
  /// Whether `text` comes up in what it prints to stdout or stderr.
  bool prints(const std::string& text, std::chrono::milliseconds within = 10s);

 private:
  std::unique_ptr<TempDirectory> directory_;
  std::string out_;  // files
  std::string err_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// Where a built program is: weft-broker, weft, an example ...
std::string binary(const std::string& name);

/// What `weft status --json` says: the number behind `key` at the top level, or the length of the list;
/// -1 when there is none.
long status_number(const std::string& address, const std::string& key);
std::string status_json(const std::string& address);

/// Processes whose parent is `pid`.
std::vector<pid_t> children_of(pid_t pid);
/// All that descend from `pid`.
std::vector<pid_t> descendants_of(pid_t pid);
/// The runners of a worker, and what they started.
std::vector<pid_t> runners_of(pid_t worker);
bool process_exists(pid_t pid);

}  // namespace weft::support
