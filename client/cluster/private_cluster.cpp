// SPDX-License-Identifier: MIT
#include "client/cluster/private_cluster.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "client/cluster/binaries.hpp"
#include "client/cluster/broker_view.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/start.hpp"

namespace weft::cluster {

namespace {

constexpr std::chrono::seconds kStart{60};
constexpr std::chrono::seconds kGrace{1};  // how long tasks may still run when the cluster stops
constexpr std::chrono::seconds kPatience{15};

StateDirectory fresh_directory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const bool usable = runtime != nullptr && access(runtime, W_OK) == 0;
  std::string path = std::string(usable ? runtime : "/tmp") + "/weft-local-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) throw Failed(fmt::format("cannot make the directory {}", path));
  return StateDirectory(path);
}

}  // namespace

PrivateCluster::PrivateCluster(int workers, int nprocs, std::vector<std::string> worker_args,
                               const std::string& bin_directory)
    : directory_(fresh_directory()) {
  ClusterSettings settings;
  settings.bin_directory = bin_directory;
  settings.port = 0;
  settings.workers = workers;
  settings.nprocs = nprocs > 0 ? nprocs : shared_cores(workers);
  settings.worker_args = std::move(worker_args);
  settings.owner = owner_;
  try {
    supervisor_ = start_supervisor(directory_, settings, bin_directory + "/weft");
    await_cluster(directory_, kStart);
    address_ = look_at_processes(directory_).state.address;
  } catch (...) {
    stop();
    throw;
  }
}

PrivateCluster::~PrivateCluster() { stop(); }

void PrivateCluster::stop() {
  if (getpid() != owner_) return;  // a forked child
  bool stopped = false;
  try {
    stopped = ask_to_stop(directory_, kGrace, kPatience, [](const std::string&) {}).value_or(false);
  } catch (const std::exception&) {  // the supervisor is gone
  }
  if (supervisor_ > 0) {
    if (!stopped) kill(supervisor_, SIGKILL);  // members have dies_with_parent, since there is an owner
    waitpid(supervisor_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_.root(), ignored);
}

std::string PrivateCluster::start_worker() {
  const Reply reply = ask(directory_, "add");
  if (!reply.ok) throw Failed(reply.text);
  await_cluster(directory_, kStart);
  return reply.text;
}

void PrivateCluster::kill_worker(const std::string& name) {
  const Reply reply = ask(directory_, "kill", name);
  if (!reply.ok) throw Failed(reply.text);
  const auto is_dead = [&](const ClusterView& view) {
    const MemberState* member = view.state.find(name);
    return member == nullptr || member->process.empty();
  };
  if (!wait_until(directory_, kPatience, is_dead))
    throw Failed(fmt::format("{} is still alive after SIGKILL", name));
}

}  // namespace weft::cluster
