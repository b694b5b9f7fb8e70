// SPDX-License-Identifier: MIT
// How a SupervisorLoop stores its state, and its main function.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>

#include "client/cluster/process.hpp"
#include "client/cluster/supervisor_loop.hpp"
#include "common/system/daemon.hpp"
#include "common/system/program_cache.hpp"

namespace weft::cluster {

namespace {

constexpr Duration kNoSpaceRetry = std::chrono::seconds(1);

Time now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

bool is_full(const std::string& directory) {
  constexpr std::uint64_t kLeastBytes = 64 << 10;
  struct statvfs disk {};
  return statvfs(directory.c_str(), &disk) == 0 && disk.f_blocks != 0 &&
         static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < kLeastBytes;
}

}  // namespace

std::string SupervisorLoop::full_disk() const {
  std::vector<std::string> needed{directory_.root().string(), default_cache_directory(), "/dev/shm"};
  if (!settings_.journal.empty())
    needed.push_back(std::filesystem::path(settings_.journal).parent_path().string());
  for (const std::string& directory : needed)
    if (is_full(directory)) return directory;
  return "";
}

ClusterState SupervisorLoop::state_now(bool with_lines) const {
  ClusterState state{.settings = settings_, .supervisor = identity_, .address = address_, .members = {}};
  for (const Member& member : supervisor_.members()) {
    MemberState& out = state.members.emplace_back();
    out.name = member.name;
    if (const Host* host = host_of(member.name)) out.host = host->name;
    out.stage = name_of(member.stage);
    if (const auto found = running_.find(member.name); found != running_.end())
      out.process = found->second.identity;
    out.drained = member.drained;
    out.restarts = member.restarts;
    out.reason = member.reason;
    const auto log = logs_.find(member.name);
    if (with_lines && log != logs_.end()) out.last_lines = log->second.last_lines();
  }
  return state;
}

/// Writes the files whose content has changed. Files for which there is no space are written later; requests
/// are answered from memory in any case.
void SupervisorLoop::publish() {
  if (!changed_ || now() < publish_at_) return;
  changed_ = false;
  std::map<std::string, std::string> files{{"cluster.json", to_json(state_now(false))}};
  if (!address_.empty()) files["address"] = address_ + "\n";
  for (const auto& [name, running] : running_) {
    files[name + ".process"] = running.identity + "\n";
    files[name + ".supervisor"] = identity_ + "\n";
  }
  for (const auto& [name, content] : files) publish_file(name, content);
  std::erase_if(published_, [&](const auto& published) {
    const bool gone = !files.contains(published.first);
    if (gone) directory_.remove(published.first);
    return gone;
  });
  if (changed_) publish_at_ = now() + kNoSpaceRetry;
}

void SupervisorLoop::publish_file(const std::string& name, const std::string& content) {
  const auto published = published_.find(name);
  if (published != published_.end() && published->second == content) return;
  if (directory_.write(name, content)) {
    published_[name] = content;
  } else {
    changed_ = true;
  }
}

int supervise(const std::string& root) {
  start_daemon();
  try {
    StateDirectory directory(root);
    ClusterState state = state_from_json(directory.read_state());
    SupervisorLoop loop(std::move(directory), std::move(state));
    loop.run();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{} cluster.sh: the supervisor ends: {}\n", time_of_day(), error.what());
    return 1;
  }
}

}  // namespace weft::cluster
