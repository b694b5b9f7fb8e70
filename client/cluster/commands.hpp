// SPDX-License-Identifier: MIT
// What `weft cluster` does, one function for each of its commands. Each returns the exit code, prints what it
// has to say to stdout, and throws Failed with the rest.
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

/// What was asked for is wrong: exit code 2 and the usage.
struct WrongUsage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct UpOptions {
  int workers = -1;  // -1: 1, with a file of hosts 0
  int nprocs = 0;    // 0: the cores of this machine, shared out
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

/// Reads "host [nprocs]" lines. Throws Failed or WrongUsage.
std::vector<Host> read_hosts(const std::string& path, const std::string& broker_host);

}  // namespace weft::cluster
