// SPDX-License-Identifier: MIT
#include "worker/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace weft::worker {

namespace {

struct Mount {
  bool version_2 = false;
  std::string path;  // where it is
  std::string root;  // what of the hierarchy is there: in a container not all of it
};

bool has_word(const std::string& list, std::string_view word) {
  std::istringstream words(list);
  for (std::string each; std::getline(words, each, ',');)
    if (each == word) return true;
  return false;
}

/// mountinfo writes a blank as \040.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool octal = text[i] == '\\' && i + 3 < text.size() &&
                       text.find_first_not_of("01234567", i + 1) >= std::min(i + 4, text.size());
    if (octal) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Of a hierarchy that has the cpu controller, or may have it: lines of
/// "36 25 0:31 ROOT PATH OPTIONS TAGS... - TYPE SOURCE SUPER_OPTIONS".
std::vector<Mount> cgroup_mounts(const std::string& mountinfo) {
  std::vector<Mount> out;
  std::ifstream file(mountinfo);
  for (std::string line; std::getline(file, line);) {
    const std::size_t middle = line.find(" - ");
    if (middle == std::string::npos) continue;
    std::istringstream front(line.substr(0, middle));
    std::istringstream back(line.substr(middle + 3));
    std::string ignored, root, path, type, source, options;
    front >> ignored >> ignored >> ignored >> root >> path;
    back >> type >> source >> options;
    const bool version_2 = type == "cgroup2";
    if (version_2 || (type == "cgroup" && has_word(options, "cpu")))
      out.push_back({version_2, unescaped(path), unescaped(root)});
  }
  return out;
}

/// The group of this process in the hierarchy; "" when it is in none.
std::string group_in(const std::string& self, bool version_2) {
  std::ifstream file(self);
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version_2 ? controllers.empty() && line.starts_with("0:") : has_word(controllers, "cpu"))
      return line.substr(second + 1);
  }
  return "";
}

std::optional<double> quota_of(const std::string& group, bool version_2) {
  double quota = -1;
  double period = 0;
  if (version_2) {
    std::ifstream(group + "/cpu.max") >> quota >> period;  // "max 100000" leaves it as it is
  } else {
    std::ifstream(group + "/cpu.cfs_quota_us") >> quota;  // -1: none
    std::ifstream(group + "/cpu.cfs_period_us") >> period;
  }
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  return quota / period;
}

/// `group` as seen from where `mount` is; "" for what is not below it.
std::string below(const Mount& mount, const std::string& group) {
  if (group.starts_with("/..")) return "";
  if (mount.root == "/") return group == "/" ? "" : group;
  const bool inside =
      group.starts_with(mount.root) && (group.size() == mount.root.size() || group[mount.root.size()] == '/');
  return inside ? group.substr(mount.root.size()) : "";
}

}  // namespace

std::optional<double> cores_by_quota(const std::string& root, const std::string& mounts,
                                     const std::string& self) {
  std::optional<double> least;
  for (const Mount& mount : cgroup_mounts(mounts)) {
    const std::string group = group_in(self, mount.version_2);
    if (group.empty()) continue;
    for (std::string path = below(mount, group);; path.erase(path.rfind('/'))) {
      const auto quota = quota_of(root + mount.path + path, mount.version_2);
      if (quota && (!least || *quota < *least)) least = quota;
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return least;
}

unsigned cores_by_affinity() {
  for (int cores = 1024; cores <= 1 << 20; cores *= 2) {  // EINVAL: the kernel's mask is longer
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cores));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cores));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const bool longer = !known && errno == EINVAL;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<unsigned>(count);
    if (!longer) break;
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

unsigned usable_cores(unsigned affinity, std::optional<double> quota) {
  double cores = affinity;
  // A quota that is whole but for rounding is.
  if (quota) cores = std::min(cores, std::floor(*quota + 0.001));
  return std::max(1U, static_cast<unsigned>(cores));
}

unsigned usable_cores() { return usable_cores(cores_by_affinity(), cores_by_quota()); }

}  // namespace weft::worker
