// SPDX-License-Identifier: MIT
// The control groups that this process is in, of cgroup version 1 and 2, each with all that are above it:
// what limits one of them limits this process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::worker {

/// A group, as the directory that stands for it.
struct OwnGroup {
  std::string directory;
  bool version_2 = false;
};

/// Where the system says which groups there are; other paths are for tests: `root` stands in front of the
/// mount points.
struct GroupFiles {
  std::string root;
  std::string mounts = "/proc/self/mountinfo";
  std::string self = "/proc/self/cgroup";
};

/// Those that have the controller ("cpu", "memory"), or may have it, innermost first.
std::vector<OwnGroup> own_groups(std::string_view controller, const GroupFiles& files);

}  // namespace weft::worker
