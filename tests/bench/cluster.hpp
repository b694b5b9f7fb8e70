// SPDX-License-Identifier: MIT
// A cluster of real processes for one measurement, and client programs that run against it: further processes
// of this same binary (client_mode.cpp), which print their measurements.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/bench_clock.hpp"
#include "tests/support/process.hpp"

namespace weft::bench {

class Cluster {
 public:
  /// Starts a broker on a free port of loopback and one worker with `slots` slots; 0 slots: no worker.
  explicit Cluster(int slots);

  const std::string& address() const { return address_; }
  pid_t broker() const { return broker_->pid(); }
  /// REQUIRES: this worker was added.
  pid_t worker(std::size_t index = 0) const { return workers_.at(index)->pid(); }
  /// Starts a worker with an empty cache, and returns at once.
  void add_worker(const std::string& name, int slots, const std::vector<std::string>& flags = {});
  /// Waits for the HELLO of the worker that was added last, and returns its time, rounded down to a
  /// millisecond. REQUIRES: the worker was added with --verbose.
  Clock::time_point hello_of_newest() const;
  void wait_for_slots(long slots) const;

 private:
  support::TempDirectory directory_;
  std::string address_;
  std::unique_ptr<support::Process> broker_;
  std::vector<std::unique_ptr<support::Process>> workers_;
};

/// The output of a client program: a name and a number in each line.
using Values = std::map<std::string, double>;
Values values_in(const std::string& text);

/// A running client program; the destructor kills it.
class ClientProgram {
 public:
  /// `program`: a copy of this binary to run instead; "": this binary.
  ClientProgram(const std::string& mode, const std::string& address, std::vector<std::string> arguments = {},
                const std::string& program = "");
  pid_t pid() const { return process_.pid(); }
  /// Waits until the program has printed `name`, and returns its number.
  double value(const std::string& name, std::chrono::seconds within = std::chrono::seconds(100));
  /// Waits for the end of the program.
  Values finish(std::chrono::seconds within = std::chrono::seconds(300));

 private:
  std::string mode_;
  support::Process process_;
};

/// Runs a client program to its end.
inline Values run_client(const std::string& mode, const std::string& address,
                         std::vector<std::string> arguments = {}) {
  return ClientProgram(mode, address, std::move(arguments)).finish();
}

/// Seconds of processor time that the live threads of a process have used; ended threads do not count.
double cpu_seconds(pid_t pid);
/// Bytes of resident memory of a process.
double resident_bytes(pid_t pid);

/// Runs the mode in `arguments`, in a process that was started as a client program.
int client_main(const std::vector<std::string>& arguments);

}  // namespace weft::bench
