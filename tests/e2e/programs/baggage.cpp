// SPDX-License-Identifier: MIT
#include "tests/e2e/programs/baggage.hpp"

long baggage_weight(long x) { return 3 * x; }
