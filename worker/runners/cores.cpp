// SPDX-License-Identifier: MIT
#include "worker/runners/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <thread>

namespace weft::worker {

namespace {

std::optional<double> quota_of(const OwnGroup& group) {
  double quota = -1;
  double period = 0;
  if (group.version_2) {
    std::ifstream(group.directory + "/cpu.max") >> quota >> period;  // "max 100000" leaves -1
  } else {
    std::ifstream(group.directory + "/cpu.cfs_quota_us") >> quota;  // -1: no quota
    std::ifstream(group.directory + "/cpu.cfs_period_us") >> period;
  }
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  return quota / period;
}

}  // namespace

std::optional<double> cores_by_quota(const GroupFiles& files) {
  std::optional<double> least;
  for (const OwnGroup& group : own_groups("cpu", files)) {
    const auto quota = quota_of(group);
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

unsigned cores_by_affinity() {
  for (int cores = 1024; cores <= 1 << 20; cores *= 2) {  // EINVAL: the kernel's mask is larger
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
  // A whole quota may have been rounded: 2.9999 cores are 3.
  if (quota) cores = std::min(cores, std::floor(*quota + 0.001));
  return std::max(1U, static_cast<unsigned>(cores));
}

unsigned usable_cores() { return usable_cores(cores_by_affinity(), cores_by_quota()); }

}  // namespace weft::worker
