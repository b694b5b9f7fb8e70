// SPDX-License-Identifier: MIT
//
// Calls the functions of tasks.cpp by name, on workers that were started with --load libtasks.so.
// The types of the call must be those of the function: a literal 30 is an int, and fib takes a long.
//
//   call_tasks [HOST:PORT]                # default: $WEFT_BROKER or 127.0.0.1:8786
#include <weft/weft.hpp>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::cerr << "usage: call_tasks [HOST:PORT]\n";
    return 2;
  }
  try {
    weft::Client client(argc == 2 ? argv[1] : "");
    const auto fib = client.call<long>("fib", 30L);
    const auto mean = client.call<double>("mean", std::vector<double>{1, 2, 3, 4});
    const auto reversed = client.call<std::string>("reversed", std::string("weft"));

    std::vector<weft::Future<long>> primes;  // counts of the primes below a million, in ten parts
    for (long i = 0; i < 10; ++i)
      primes.push_back(client.call<long>("count_primes", i * 100'000, (i + 1) * 100'000));
    long total = 0;
    for (const long count : client.gather(primes)) total += count;

    std::cout << "fib(30) = " << fib.result() << "\nthe mean of 1, 2, 3, 4 = " << mean.result()
              << "\nweft reversed = " << reversed.result() << "\nprimes below a million = " << total << '\n';

    // A name that no library has: the error lists the existing ones.
    if (const auto error = client.call<long>("fibonacci", 30L).error()) std::cout << error->what() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "call_tasks: " << error.what() << '\n';
    return 1;
  }
}
