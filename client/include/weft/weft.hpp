// SPDX-License-Identifier: MIT
// Everything that a program needs to run functions on a cluster:
//
//   long inc(long x) { return x + 1; }
//
//   int main() {
//     weft::Client client("node1:8786");
//     auto futures = client.map<inc>(std::views::iota(0L, 1000L));
//     weft::progress(futures);
//     for (long y : client.gather(futures)) std::cout << y << '\n';
//   }
#pragma once

#include "weft/as_completed.hpp"   // IWYU pragma: export
#include "weft/client.hpp"         // IWYU pragma: export
#include "weft/cluster_info.hpp"   // IWYU pragma: export
#include "weft/command.hpp"        // IWYU pragma: export
#include "weft/error.hpp"          // IWYU pragma: export
#include "weft/future.hpp"         // IWYU pragma: export
#include "weft/init.hpp"           // IWYU pragma: export
#include "weft/local_cluster.hpp"  // IWYU pragma: export
#include "weft/options.hpp"        // IWYU pragma: export
#include "weft/progress.hpp"       // IWYU pragma: export
#include "weft/serialise.hpp"      // IWYU pragma: export
#include "weft/sweep.hpp"          // IWYU pragma: export
#include "weft/this_task.hpp"      // IWYU pragma: export
#include "weft/wait.hpp"           // IWYU pragma: export
