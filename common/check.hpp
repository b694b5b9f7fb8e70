// SPDX-License-Identifier: MIT
// WEFT_CHECK: a broken invariant is our bug; the only safe answer is to stop, in release builds too.
#pragma once

#include <cstdio>
#include <cstdlib>

#define WEFT_CHECK(condition)                                                                \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
