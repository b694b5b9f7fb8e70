// SPDX-License-Identifier: MIT
// Other systems, from Debian's packages, with the workload that suits them best. Each function starts the
// processes that it needs and ends them, and throws if a package is missing.
#pragma once

#include "client/cli/bench_clock.hpp"

namespace weft::bench {

/// gearmand with two no-op workers: tasks per second with a thousand tasks under way.
double gearman_throughput();
/// One task at a time, on an otherwise idle gearmand.
RoundTrip gearman_round_trip();

/// distributed, with its defaults and two workers of one thread: tasks per second of client.map of a no-op,
/// and gather.
double dask_throughput();

}  // namespace weft::bench
