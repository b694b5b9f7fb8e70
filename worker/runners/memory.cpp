// SPDX-License-Identifier: MIT
#include "worker/runners/memory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "common/system/fd.hpp"

namespace weft::worker {

namespace {

/// Parent and resident pages from /proc/<pid>/stat: fields 4 and 24, behind a name that may contain any
/// character.
bool read_stat(const char* pid, pid_t& parent, std::uint64_t& pages) {
  const Fd file(open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t got = file ? read(file.get(), text, sizeof text) : -1;
  if (got <= 0) return false;
  const std::string_view all(text, static_cast<std::size_t>(got));
  std::size_t at = all.rfind(')');
  if (at == std::string_view::npos) return false;
  const auto number = [&](auto& value) { std::from_chars(all.data() + at, all.data() + all.size(), value); };
  for (int field = 3; field <= 24; ++field) {
    at = all.find(' ', at);
    if (at == std::string_view::npos) return false;
    ++at;
    if (field == 4) number(parent);
    if (field == 24) number(pages);
  }
  return true;
}

std::uint64_t private_bytes(pid_t pid) {
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;  // file-backed or shared memory
  std::ifstream(fmt::format("/proc/{}/statm", pid)) >> all >> resident >> shared;
  return (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

ProcessTable::ProcessTable() {
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  const auto page_bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    pid_t parent = 0;
    std::uint64_t pages = 0;
    if (!read_stat(entry->d_name, parent, pages)) continue;
    const pid_t pid = std::atoi(entry->d_name);
    bytes_[pid] = pages * page_bytes;
    children_[parent].push_back(pid);
  }
  closedir(proc);
}

std::vector<pid_t> ProcessTable::below(pid_t pid) const {
  // The processes are not read at one instant: one that was reparented in between may appear twice, or in a
  // cycle.
  std::vector<pid_t> found{pid};
  for (std::size_t i = 0; i < found.size() && i < bytes_.size(); ++i) {
    const auto children = children_.find(found[i]);
    if (children != children_.end())
      found.insert(found.end(), children->second.begin(), children->second.end());
  }
  found.erase(found.begin());
  return found;
}

std::uint64_t ProcessTable::resident_bytes_below(pid_t pid) const {
  std::uint64_t bytes = 0;
  for (const pid_t child : below(pid)) bytes += bytes_.at(child);
  return bytes;
}

std::uint64_t ProcessTable::private_bytes_of(pid_t pid) const {
  std::uint64_t bytes = private_bytes(pid);
  for (const pid_t child : below(pid)) bytes += private_bytes(child);
  return bytes;
}

}  // namespace weft::worker
