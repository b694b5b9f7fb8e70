// SPDX-License-Identifier: MIT
#include "worker/memory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "common/fd.hpp"

namespace weft::worker {

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !(number >= 0)) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double factor = 1;
  constexpr std::string_view kUnits = "KMGT";
  if (!unit.empty() && unit != "B") {
    const std::size_t power =
        kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit.front()))));
    if (power == std::string_view::npos) return std::nullopt;
    factor = std::pow(1024.0, static_cast<double>(power + 1));
    unit.remove_prefix(1);
    if (unit != "" && unit != "B" && unit != "iB") return std::nullopt;
  }
  const double bytes = number * factor;
  if (bytes < 1 || bytes > 1e18) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

namespace {

/// Parent and resident pages from /proc/<pid>/stat: fields 4 and 24, behind a name that may hold anything.
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

std::uint64_t ProcessTable::resident_bytes_below(pid_t pid) const {
  std::uint64_t bytes = 0;
  // Read one after the other, so that what moved meanwhile may be there twice, or in a ring.
  std::vector<pid_t> todo{pid};
  for (std::size_t i = 0; i < todo.size() && i < bytes_.size(); ++i) {
    const auto children = children_.find(todo[i]);
    if (children == children_.end()) continue;
    for (const pid_t child : children->second) {
      bytes += bytes_.at(child);
      todo.push_back(child);
    }
  }
  return bytes;
}

}  // namespace weft::worker
