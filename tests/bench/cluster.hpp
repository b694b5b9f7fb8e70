// SPDX-License-Identifier: MIT
// A cluster of real processes for one measurement, and client programs run against it: this very program, in
// a process of its own (client_mode.cpp), which prints what it measured.
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
  /// A broker on a free port of loopback and one worker; 0 slots: no worker.
  explicit Cluster(int slots);

  const std::string& address() const { return address_; }
  pid_t broker() const { return broker_->pid(); }
  /// REQUIRES: there is one.
  pid_t worker(std::size_t index = 0) const { return workers_.at(index)->pid(); }
  /// Returns at once. Its cache is empty.
  void add_worker(const std::string& name, int slots, const std::vector<std::string>& flags = {});
  /// When the worker that was added last said HELLO, to a millisecond and not later; waits for that.
  /// REQUIRES: it was added with --verbose.
  Clock::time_point hello_of_newest() const;
  void wait_for_slots(long slots) const;

 private:
  support::TempDirectory directory_;
  std::string address_;
  std::unique_ptr<support::Process> broker_;
  std::vector<std::unique_ptr<support::Process>> workers_;
};

/// What a client program printed: a name and a number in each line.
using Values = std::map<std::string, double>;
Values values_in(const std::string& text);

/// A client program that goes on; killed with its owner.
class ClientProgram {
 public:
  /// `program`: another copy of this one.
  ClientProgram(const std::string& mode, const std::string& address, std::vector<std::string> arguments = {},
                const std::string& program = "");
  pid_t pid() const { return process_.pid(); }
  /// Waits until it has printed that name, and gives the number.
  double value(const std::string& name, std::chrono::seconds within = std::chrono::seconds(100));
  /// Waits for its end.
  Values finish(std::chrono::seconds within = std::chrono::seconds(300));

 private:
  std::string mode_;
  support::Process process_;
};

/// Runs one to its end.
inline Values run_client(const std::string& mode, const std::string& address,
                         std::vector<std::string> arguments = {}) {
  return ClientProgram(mode, address, std::move(arguments)).finish();
}

/// Seconds of processor time that the threads of a process have used; those that have ended do not count.
double cpu_seconds(pid_t pid);
/// Bytes of memory that it has.
double resident_bytes(pid_t pid);

/// In a process that was started as a client program: what it was started for.
int client_main(const std::vector<std::string>& arguments);

}  // namespace weft::bench
