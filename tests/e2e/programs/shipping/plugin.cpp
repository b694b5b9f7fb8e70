// SPDX-License-Identifier: MIT
// A plug-in with a task whose name is also that of a task of the host.
#include <weft/weft.hpp>

namespace {
long own(long x) { return 100 * x; }
}  // namespace

extern "C" weft::Future<long> plugin_work(weft::Client& client, long x) { return client.submit<own>(x); }
