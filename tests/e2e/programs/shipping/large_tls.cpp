// SPDX-License-Identifier: MIT
// A library whose thread-local memory must exist when the program starts (initial-exec), and exceeds the
// surplus that loaders reserve.
namespace {
[[gnu::tls_model("initial-exec")]] thread_local char memory[300 << 10] = {42};
}

extern "C" int answer() { return memory[0]; }
