// SPDX-License-Identifier: MIT
#include "worker/runners/own_groups.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace weft::worker {

namespace {

struct Mount {
  bool version_2 = false;
  std::string path;  // mount point
  std::string root;  // the part of the hierarchy that is mounted; in a container not all of it
};

bool has_word(const std::string& list, std::string_view word) {
  std::istringstream words(list);
  for (std::string each; std::getline(words, each, ',');)
    if (each == word) return true;
  return false;
}

/// Decodes octal escapes: mountinfo writes a blank as \040.
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

/// Mounts of hierarchies that have, or may have, the controller. mountinfo has lines of "36 25 0:31 ROOT PATH
/// OPTIONS TAGS... - TYPE SOURCE SUPER_OPTIONS".
std::vector<Mount> cgroup_mounts(std::string_view controller, const std::string& mountinfo) {
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
    if (version_2 || (type == "cgroup" && has_word(options, controller)))
      out.push_back({version_2, unescaped(path), unescaped(root)});
  }
  return out;
}

/// The group of this process in the hierarchy; "": none.
std::string group_in(std::string_view controller, const std::string& self, bool version_2) {
  std::ifstream file(self);
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version_2 ? controllers.empty() && line.starts_with("0:") : has_word(controllers, controller))
      return line.substr(second + 1);
  }
  return "";
}

/// The path of `group` relative to `mount`; "" if it is not below it.
std::string below(const Mount& mount, const std::string& group) {
  if (group.starts_with("/..")) return "";
  if (mount.root == "/") return group == "/" ? "" : group;
  const bool inside =
      group.starts_with(mount.root) && (group.size() == mount.root.size() || group[mount.root.size()] == '/');
  return inside ? group.substr(mount.root.size()) : "";
}

}  // namespace

std::vector<OwnGroup> own_groups(std::string_view controller, const GroupFiles& files) {
  std::vector<OwnGroup> out;
  for (const Mount& mount : cgroup_mounts(controller, files.mounts)) {
    const std::string group = group_in(controller, files.self, mount.version_2);
    if (group.empty()) continue;
    for (std::string path = below(mount, group);; path.erase(path.rfind('/'))) {
      out.push_back({files.root + mount.path + path, mount.version_2});
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return out;
}

}  // namespace weft::worker
