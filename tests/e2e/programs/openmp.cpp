// SPDX-License-Identifier: MIT
// Prints, in one line, how many threads OpenMP uses in tasks: by default, with TaskOptions::threads, and
// after a task that has changed the number for itself.
#include <omp.h>

#include <cstdio>
#include <weft/weft.hpp>

namespace {

int threads() {
  int count = 0;
#pragma omp parallel reduction(+ : count)
  count += 1;
  return count;
}
int changes() {
  omp_set_num_threads(2);
  return threads();
}

}  // namespace

int main() {
  weft::Client client;
  const int before = client.submit<threads>().result();
  const int wide = client.with({.threads = 3}).submit<threads>().result();
  const int after = client.submit<threads>().result();
  const int changed = client.submit<changes>().result();
  const int last = client.submit<threads>().result();
  std::printf("%d %d %d %d %d\n", before, wide, after, changed, last);
}
