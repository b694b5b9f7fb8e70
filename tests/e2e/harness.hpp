// SPDX-License-Identifier: MIT
// What end-to-end tests stand on: real processes of the real binaries, on free ports, in a folder of
// their own, ended by pid when the test ends. Nothing here pauses for a fixed time: everything waits for
// a condition, with a deadline.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::e2e {

using namespace std::chrono_literals;

/// True as soon as `condition` is, false when it is not by `within`.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 10s);

/// A folder that goes with its owner.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Variables beside this process's own.
using Environment = std::map<std::string, std::string>;

/// A process with its output in files. Killed and reaped when it goes, if it still runs.
class Process {
 public:
  struct Options {
    Environment environment;
    std::filesystem::path folder;  // to run in; empty: this process's
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
  TempFolder folder_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// Where a built program is: weft-broker, weft, an example ...
std::string binary(const std::string& name);

/// What `weft status --json` says: the number behind `key` at the top level, or the length of the list;
/// -1 when there is none.
long status_number(const std::string& address, const std::string& key);
std::string status_json(const std::string& address);

/// A broker and its workers on loopback.
class Cluster {
 public:
  struct Options {
    int workers = 1;
    int nprocs = 2;
    std::vector<std::string> broker_arguments;
    std::vector<std::string> worker_arguments;
  };
  Cluster() : Cluster(Options{}) {}
  explicit Cluster(Options options);

  /// "127.0.0.1:40123"
  const std::string& address() const { return address_; }
  Process& broker() { return *broker_; }
  Process& worker(std::size_t i = 0) { return *workers_.at(i); }
  std::size_t workers() const { return workers_.size(); }

  /// Starts one more worker; returns at once.
  Process& add_worker(std::vector<std::string> arguments = {}, Environment environment = {});
  /// Starts the broker again on the same port, after it was killed.
  void restart_broker(Environment environment = {});
  /// Waits until `slots` have joined. Fails the test when they do not.
  void wait_for_slots(long slots, std::chrono::milliseconds within = 15s);
  long status(const std::string& key) const { return status_number(address_, key); }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  void start_broker(const std::string& port, Environment environment = {});

  Options options_;
  TempFolder folder_;
  std::string address_;
  std::unique_ptr<Process> broker_;
  std::vector<std::unique_ptr<Process>> workers_;
};

/// Processes whose parent is `pid`.
std::vector<pid_t> children_of(pid_t pid);
/// All that descend from `pid`.
std::vector<pid_t> descendants_of(pid_t pid);
bool process_exists(pid_t pid);

}  // namespace weft::e2e
