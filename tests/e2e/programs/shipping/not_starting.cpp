// SPDX-License-Identifier: MIT
// A program that does not start on a worker: not_starting ADDRESS
// In a runner its static initialiser throws or, if SUBMITS is defined, submits a task.
// Prints the error of each of three tasks, and after how many milliseconds it came.
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <weft/weft.hpp>

namespace {

int identity(int x) { return x; }

struct Configuration {
  Configuration() {
    if (!weft::in_runner()) return;
#ifdef SUBMITS
    weft::Client client;
    client.submit<identity>(0);
#else
    throw std::runtime_error("cannot open application.ini");
#endif
  }
} configuration;

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  using Clock = std::chrono::steady_clock;
  weft::Client client(argv[1]);
  for (int i = 0; i < 3; ++i) {
    const auto begin = Clock::now();
    auto future = client.submit<identity>(i);
    const auto error = future.error();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    std::printf("told after %lld ms: %s\n", static_cast<long long>(took.count()),
                error ? error->what() : "nothing");
  }
  return 0;
}
