// SPDX-License-Identifier: MIT
// How many cores this process may use: those of its affinity mask (taskset, cpusets), limited by the quotas
// of its control groups, version 1 and 2, and of all groups above them.
#pragma once

#include <optional>

#include "worker/runners/own_groups.hpp"

namespace weft::worker {

/// CPU quota of the control groups, in cores: 1.5 for 150 ms in every 100 ms. nullopt: no quota.
std::optional<double> cores_by_quota(const GroupFiles& files = {});

/// Cores that the scheduler may put this process on.
unsigned cores_by_affinity();

/// The smaller of the two, rounded down, at least 1.
unsigned usable_cores(unsigned affinity, std::optional<double> quota);

/// The usable cores of this process.
unsigned usable_cores();

}  // namespace weft::worker
