// SPDX-License-Identifier: MIT
// A program that is shipped in several builds (plain, stripped, ASan, static-pie, with a private shared
// library): travelling ADDRESS [--delete-self]. Prints what its tasks saw.
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <ranges>
#include <string>
#include <vector>
#include <weft/weft.hpp>

#ifdef WITH_BAGGAGE
#include "tests/e2e/programs/baggage.hpp"
#else
inline long baggage_weight(long x) { return x * WEIGHT; }
#endif

namespace {

long weigh(long x) { return baggage_weight(x); }
bool sees(std::string path) { return std::filesystem::exists(path); }
std::string where() { return weft::this_task::worker(); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    weft::Client client(argv[1]);
    if (argc > 2 && std::strcmp(argv[2], "--delete-self") == 0) std::filesystem::remove(self);
    long sum = 0;
    for (const long weight : client.gather(client.map<weigh>(std::views::iota(0L, 100L)))) sum += weight;
    const std::string folder = std::filesystem::path(self).parent_path();
    std::printf("sum %ld, %s sees %s: %s\n", sum, client.submit<where>().result().c_str(), folder.c_str(),
                client.submit<sees>(folder).result() ? "yes" : "no");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
