// SPDX-License-Identifier: MIT
// WEFT_CHECK: a broken invariant is a bug in Weft, and the only safe reaction is to abort, in release builds
// too.
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
