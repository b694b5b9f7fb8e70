// SPDX-License-Identifier: MIT
// The control groups of this process, version 1 and 2, with all groups above them, since the limit of any of
// them applies to this process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::worker {

/// A control group, by its directory.
struct OwnGroup {
  std::string directory;
  bool version_2 = false;
};

/// The files that list mounts and groups. Other paths are for tests: `root` is prepended to the mount points.
struct GroupFiles {
  std::string root;
  std::string mounts = "/proc/self/mountinfo";
  std::string self = "/proc/self/cgroup";
};

/// The groups that have, or may have, the controller ("cpu", "memory"), innermost first.
std::vector<OwnGroup> own_groups(std::string_view controller, const GroupFiles& files);

}  // namespace weft::worker
