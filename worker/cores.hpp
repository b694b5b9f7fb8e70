// SPDX-License-Identifier: MIT
// How many cores this process may use: those of its affinity (taskset, cpusets), held down by the cgroups
// that it is in, of version 1 and 2, each with all that are above it.
#pragma once

#include <optional>

#include "worker/own_groups.hpp"

namespace weft::worker {

/// Cores' worth of time that the quotas of cgroups allow: 1.5 for 150 ms in 100 ms. nullopt: there is no
/// quota.
std::optional<double> cores_by_quota(const GroupFiles& files = {});

/// Cores that the scheduler may put this process on.
unsigned cores_by_affinity();

/// The whole ones of both, at least 1.
unsigned usable_cores(unsigned affinity, std::optional<double> quota);

/// Those of this process.
unsigned usable_cores();

}  // namespace weft::worker
