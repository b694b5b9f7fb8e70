// SPDX-License-Identifier: MIT
// A library that is built with different values of ANSWER: all have one name and one soname.
extern "C" {

int answer() { return ANSWER; }

/// How often it was called.
int count() {
  static int calls = 0;
  return ++calls;
}
}
