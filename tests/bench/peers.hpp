// SPDX-License-Identifier: MIT
// Other fabrics, from Debian's packages, given the work that suits them best. Each starts what it needs and
// ends it. They throw when a package is missing.
#pragma once

#include "client/cli/bench_clock.hpp"

namespace weft::bench {

/// gearmand with two workers that do nothing: tasks a second with a thousand under way.
double gearman_throughput();
/// One task at a time, nothing else going on.
RoundTrip gearman_round_trip();

/// distributed, with its defaults and two workers of one thread: client.map of a no-op, and gather.
double dask_throughput();

}  // namespace weft::bench
