// SPDX-License-Identifier: MIT
//
// The smallest whole program: a function that is mapped over a thousand numbers, on all slots of the cluster.
// Nothing is installed on the workers beforehand: this program ships itself there.
//
//   inc                                                    # broker: $WEFT_BROKER or 127.0.0.1:8786
//   inc --broker 192.168.14.13:8786 --n 100000 --iterations 1000 --results
//
// --gather waits for all results and prints them at once. --results takes the results one by one, in order,
// and frees each, so that memory does not grow with the number of results.
#include <weft/weft.hpp>

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <ranges>
#include <string>
#include <utility>

long inc(long x, long iterations) {
  volatile long i = 0;  // volatile, so that the compiler does not optimise the loop away
  while (i < iterations) {
    x += i;
    i = i + 1;
  }
  return x;
}

void run(const std::string& broker, long n, long iterations, bool one_by_one) {
  weft::Client client(broker);
  const auto start = std::chrono::steady_clock::now();
  auto futures = client.map<inc>(std::views::iota(0L, n), weft::same(iterations));
  if (one_by_one) {
    for (auto& future : futures) fmt::print("{}\n", std::move(future).result());
  } else {
    weft::progress(futures);
    fmt::print("{}\n", client.gather(futures));
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;

  const auto slots = client.cluster().slots;
  const double ms = wall.count() * 1000 / static_cast<double>(n);
  fmt::print("{} calls in {:.3f} s on {} slots: {:.4f} ms a call, {:.4f} ms a call and slot\n", n,
             wall.count(), slots, ms, ms * static_cast<double>(slots));
}

int main(int argc, char** argv) {
  std::string broker;
  long n = 1000;
  long iterations = 10'000'000;
  bool gather = false, one_by_one = false;
  CLI::App app{"Calls inc for 0, 1, 2 ... on all cores of a Weft cluster.", "inc"};
  app.failure_message(CLI::FailureMessage::help);
  app.add_option("--broker", broker, "address of the broker; default $WEFT_BROKER or 127.0.0.1:8786");
  app.add_option("--n", n, "number of calls")->check(CLI::Range(1L, 1'000'000'000L))->capture_default_str();
  app.add_option("--iterations", iterations, "turns of the loop in each call")
      ->check(CLI::Range(0L, 4'000'000'000L))  // beyond this the sum would overflow
      ->capture_default_str();
  auto* const results = app.add_flag("--results", one_by_one, "print the results one by one, in flat memory");
  app.add_flag("--gather", gather, "wait for all results, then print them; the default")->excludes(results);
  try {
    app.parse(argc, argv);
    run(broker, n, iterations, one_by_one);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "inc: {}\n", error.what());
    return 2;  // the address is invalid
  } catch (const std::exception& error) {
    fmt::print(stderr, "inc: {}\n", error.what());
    return 1;
  }
}
