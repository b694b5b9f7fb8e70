// SPDX-License-Identifier: MIT
// A program that submits its own task, then one of a plug-in that it opens, then its own again:
// host ADDRESS PLUGIN
#include <dlfcn.h>

#include <cstdio>
#include <weft/weft.hpp>

namespace {
long own(long x) { return x + 1; }
}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    weft::Client client(argv[1]);
    std::printf("own %ld\n", client.submit<own>(1).result());
    void* const plugin = dlopen(argv[2], RTLD_NOW);
    if (plugin == nullptr) throw weft::Error(dlerror());
    const auto work =
        reinterpret_cast<weft::Future<long> (*)(weft::Client&, long)>(dlsym(plugin, "plugin_work"));
    std::printf("plug-in's %ld\n", work(client, 5).result());
    std::printf("own %ld\n", client.submit<own>(2).result());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
