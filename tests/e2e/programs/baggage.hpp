// SPDX-License-Identifier: MIT
// A shared library that belongs to a program and not to the system: it must travel with it.
#pragma once

long baggage_weight(long x);
