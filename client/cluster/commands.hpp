// SPDX-License-Identifier: MIT
// The commands of `weft cluster`, one function for each. A function returns the exit code, prints its results
// to stdout, and throws Failed on errors.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/cluster/binaries.hpp"
#include "client/cluster/cluster_state.hpp"

namespace weft::cluster {

using std::chrono::milliseconds;

/// The command line is wrong: prints the usage and exits with code 2.
struct WrongUsage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Options of `up`, whose meaning is in the usage text of cluster_command.cpp.
struct UpOptions {
  int workers = -1;  // -1: 1, or 0 with --hosts
  int nprocs = 0;    // 0: the cores of this machine, divided among the workers
  int port = 8786;
  std::string host = "127.0.0.1";
  bool insecure = false;
  std::string hosts_file;
  std::string journal;
  std::uint64_t log_size = 8 << 20;
  milliseconds timeout{60'000};
  std::vector<std::string> worker_args;
};

int up(const UpOptions& options);
int status();
int show_logs(bool follow);
int scale(int workers, milliseconds timeout);
int drain(const std::vector<std::string>& names, milliseconds timeout);
int restart(const std::vector<std::string>& names, milliseconds timeout);
int down(milliseconds grace);

/// Reads the lines "host [nprocs]" of a hosts file. `broker_host`: --host, which the hosts must be able to
/// reach. Throws Failed or WrongUsage.
std::vector<Host> read_hosts(const std::string& path, const std::string& broker_host);

}  // namespace weft::cluster
