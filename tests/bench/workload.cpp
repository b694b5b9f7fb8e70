// SPDX-License-Identifier: MIT
#include "tests/bench/workload.hpp"

namespace weft::bench {

long inc(long x) {
  for (volatile long i = 0; i < 10'000'000;) {
    x += i;
    i = i + 1;
  }
  return x;
}

}  // namespace weft::bench
