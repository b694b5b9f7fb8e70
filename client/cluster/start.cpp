// SPDX-License-Identifier: MIT
#include "client/cluster/start.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "client/cluster/binaries.hpp"
#include "client/cluster/broker_view.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/process.hpp"

namespace weft::cluster {

namespace fs = std::filesystem;

using std::chrono::milliseconds;

namespace {

void make_directories(const StateDirectory& directory) {
  std::error_code error;
  for (const fs::path& path : {directory.run(), directory.logs()}) {
    fs::create_directories(path, error);
    if (error) throw Failed(fmt::format("cannot make {}: {}", path.string(), error.message()));
  }
}

}  // namespace

int shared_cores(int workers) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cores / std::max(1, workers));
}

pid_t start_supervisor(const StateDirectory& directory, const ClusterSettings& settings,
                       const std::string& weft) {
  make_directories(directory);
  if (!directory.write("cluster.json",
                       to_json({.settings = settings, .supervisor = "", .address = "", .members = {}})))
    throw Failed(fmt::format("cannot write to {}: is the disk full?", directory.run().string()));
  const fs::path log = directory.logs() / "supervisor.log";
  const Fd output(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const pid_t pid =
      spawn({.argv = {weft, "cluster", "supervise", directory.root().string()}, .output = output.get()});
  constexpr int kTries = 1000;  // of 5 ms
  for (int i = 0; i < kTries; ++i) {
    if (ask_state(directory)) return pid;
    if (waitpid(pid, nullptr, WNOHANG) == pid) break;
    std::this_thread::sleep_for(milliseconds(5));
  }
  throw Failed(fmt::format("the supervisor has not started, see {}", log.string()));
}

void await_cluster(const StateDirectory& directory, milliseconds timeout) {
  if (!wait_until(directory, timeout, [&](const ClusterView& view) { return all_joined(view, directory); }))
    throw Failed(explain_missing(look_at(directory, milliseconds(1000))));
}

}  // namespace weft::cluster
