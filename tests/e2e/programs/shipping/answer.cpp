// SPDX-License-Identifier: MIT
// A library that is built with different values of ANSWER: all have one name and one soname.
extern "C" int answer() { return ANSWER; }
