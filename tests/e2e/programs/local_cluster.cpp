// SPDX-License-Identifier: MIT
// Has a LocalCluster. usage: weft_e2e_local_cluster [wait]: with `wait` it prints the address and then waits
// for the end of its input.
#include <cstdio>
#include <cstring>
#include <ranges>
#include <weft/weft.hpp>

namespace {

weft::LocalCluster* of_static_initialiser = nullptr;

/// A static LocalCluster of a program must not start a cluster in each runner.
struct Early {
  Early() {
    if (weft::in_runner()) of_static_initialiser = new weft::LocalCluster;
  }
} early;

long square(long x) { return x * x; }

std::string cluster_in_task() {
  try {
    if (of_static_initialiser == nullptr) return "the static one was not made";
    const weft::LocalCluster cluster;
  } catch (const weft::Error& error) {
    return error.what();
  }
  return "it was made";
}

}  // namespace

int main(int argc, char** argv) {
  weft::LocalCluster cluster({.workers = 2, .nprocs = 1});
  std::printf("address %s\n", cluster.address().c_str());
  std::fflush(stdout);
  if (argc > 1 && std::strcmp(argv[1], "wait") == 0) return std::getchar() == EOF ? 0 : 1;
  weft::Client client(cluster.address());
  long sum = 0;
  for (const long y : client.gather(client.map<square>(std::views::iota(0L, 10L)))) sum += y;
  std::printf("sum %ld\n%s\n", sum, client.submit<cluster_in_task>().result().c_str());
}
