// SPDX-License-Identifier: MIT
// A task library: functions that any client can call by name without having their code. Each worker loads the
// library at start: weft-worker HOST:PORT --load libtasks.so
#include <weft/task_library.hpp>

#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

// Slow on purpose: a task that keeps a core busy.
long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// Primes p with first <= p < last.
long count_primes(long first, long last) {
  long count = 0;
  for (long n = first < 2 ? 2 : first; n < last; ++n) {
    bool prime = true;
    for (long d = 2; d <= n / d && prime; ++d) prime = n % d != 0;
    count += prime;
  }
  return count;
}

double mean(const std::vector<double>& values) {
  if (values.empty()) throw std::invalid_argument("the mean of no values");
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string reversed(const std::string& text) { return {text.rbegin(), text.rend()}; }

WEFT_TASK("fib", fib)
WEFT_TASK("count_primes", count_primes)
WEFT_TASK("mean", mean)
WEFT_TASK("reversed", reversed)
