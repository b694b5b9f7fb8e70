// SPDX-License-Identifier: MIT
// A library whose thread-local memory has to be there when the program starts, and is more than loaders
// spare.
namespace {
[[gnu::tls_model("initial-exec")]] thread_local char memory[300 << 10] = {42};
}

extern "C" int answer() { return memory[0]; }
