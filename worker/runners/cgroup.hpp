// SPDX-License-Identifier: MIT
// Memory limits by cgroup v2, where a subtree has been delegated to this worker (for example by `systemd-run
// --user --scope -p Delegate=yes weft-worker ...`): the kernel enforces the limit of each slot, page by page.
// Without delegation, RunnerPool polls the memory use of runners.
//
//   <own cgroup>/agent       this process, by cgroup v2's no-internal-process rule: a group that enables
//                            controllers for its children must have no members
//   <own cgroup>/slot<n>     the runner in slot n and all that it starts
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/system/fd.hpp"

namespace weft::worker {

class Cgroup {
 public:
  /// Returns nullptr, with the reason in `why` and nothing changed, when the memory controller is not
  /// delegated to this process. The paths are parameters for tests.
  static std::unique_ptr<Cgroup> take_over(std::string& why, const std::string& mount = "/sys/fs/cgroup",
                                           const std::string& self = "/proc/self/cgroup");
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// Creates the slot's group with a limit of `bytes_max`, and opens its directory. Throws std::system_error.
  Fd enter_slot(std::uint32_t slot, std::uint64_t bytes_max);
  /// The peak use of the slot in bytes, if the kernel has killed a process over the limit since enter_slot().
  std::optional<std::uint64_t> exceeded(std::uint32_t slot) const;

 private:
  explicit Cgroup(std::string directory) : directory_(std::move(directory)) {}
  std::string slot_directory(std::uint32_t slot) const { return directory_ + "/slot" + std::to_string(slot); }
  std::uint64_t kills(std::uint32_t slot) const;

  std::string directory_;
  std::map<std::uint32_t, std::uint64_t> kills_before_;  // by slot, as of enter_slot()
};

}  // namespace weft::worker
