// SPDX-License-Identifier: MIT
// ShellRunner: a shell in the role of a runner, started and reaped as real runners are. It waits for
// conditions, with a deadline.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/temp_directory.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/runner_process.hpp"

namespace weft::worker {

struct Shell {
  explicit Shell(const std::string& script) {
    const Fd program = checked(open("/bin/sh", O_RDONLY | O_CLOEXEC), "/bin/sh");
    process = std::make_unique<RunnerProcess>(
        RunnerProcess::Launch{
            .executable = program.get(), .argv = {"sh", "-c", script}, .scratch = temp / "scratch"},
        server);
  }
  ~Shell() {
    process.reset();
    CHECK(!std::filesystem::exists(temp / "scratch"));
  }

  void read() {
    process->read_output(SIZE_MAX);
    process->log_output([this](std::string_view line, bool is_stderr) {
      (is_stderr ? err : out) += std::string(line) + "\n";
    });
  }
  /// Waits until `done`, for at most ten seconds.
  void wait_for(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool is_done = false;
    while (!(is_done = done()) && std::chrono::steady_clock::now() < end) {
      std::vector<pollfd> items;
      for (const auto& polled : process->polls()) items.push_back({polled.fd, POLLIN, 0});
      ::poll(items.data(), items.size(), 20);
    }
    REQUIRE(is_done);
  }
  RunnerProcess::Death death() {
    wait_for([this] {
      read();
      return process->death().has_value();
    });
    read();
    return *process->death();
  }

  support::TempDirectory temp;
  ForkServer server;
  std::unique_ptr<RunnerProcess> process;
  std::string out;
  std::string err;
};

}  // namespace weft::worker
