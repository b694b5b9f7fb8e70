// SPDX-License-Identifier: MIT
// A plug-in with a task, whose name the host has too.
#include <weft/weft.hpp>

namespace {
long own(long x) { return 100 * x; }
}  // namespace

extern "C" weft::Future<long> plugin_work(weft::Client& client, long x) { return client.submit<own>(x); }
