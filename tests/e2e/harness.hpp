// SPDX-License-Identifier: MIT
// Cluster: the broker and workers of an end-to-end test, on free ports and in a temporary directory, ended by
// pid when the test ends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace weft::e2e {

using namespace support;  // processes, temporary directories, eventually()

/// A broker and its workers on loopback.
class Cluster {
 public:
  struct Options {
    int workers = 1;
    int nprocs = 2;
    std::vector<std::string> broker_prefix;  // a command that starts the broker, such as prlimit
    std::vector<std::string> broker_arguments;
    std::vector<std::string> worker_arguments;
  };
  Cluster() : Cluster(Options{}) {}
  explicit Cluster(Options options);

  /// The broker's address, such as "127.0.0.1:40123".
  const std::string& address() const { return address_; }
  Process& broker() { return *broker_; }
  Process& worker(std::size_t i = 0) { return *workers_.at(i); }
  std::size_t workers() const { return workers_.size(); }

  /// Starts another worker, without waiting for it to join.
  Process& add_worker(std::vector<std::string> arguments = {}, Environment environment = {});
  /// Starts a broker on the port of the killed one.
  void restart_broker(Environment environment = {});
  /// Waits until `slots` slots have joined; fails the test if they do not.
  void wait_for_slots(long slots, std::chrono::milliseconds within = 15s);
  long status(const std::string& key) const { return status_number(address_, key); }
  const std::filesystem::path& directory() const { return directory_.path(); }

 private:
  void start_broker(const std::string& port, Environment environment = {});

  Options options_;
  TempDirectory directory_;
  std::string address_;
  std::unique_ptr<Process> broker_;
  std::vector<std::unique_ptr<Process>> workers_;
};

}  // namespace weft::e2e
