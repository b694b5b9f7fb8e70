// SPDX-License-Identifier: MIT
// A library that is built with different values of ANSWER, always with the same name and soname.
extern "C" {

int answer() { return ANSWER; }

/// Returns how often it has been called.
int count() {
  static int calls = 0;
  return ++calls;
}
}
