// SPDX-License-Identifier: MIT
// weft_simulation [--seeds N] [--first SEED] [--seed SEED [--trace]] [--report]
// weft_simulation --story FILE
//
// Runs whole fabrics in virtual time, one for each seed; one seed in eleven runs twice, to compare the
// traces. Stops at the first broken promise and prints it, the end of the trace that led to it, and how to
// replay it. WEFT_SEED in the environment means --seed. A story is a scenario file (story.hpp).
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/simulation/fabric.hpp"
#include "tests/simulation/story.hpp"

namespace weft::sim {

namespace {

constexpr std::size_t kTailLines = 150;
constexpr std::uint64_t kTwiceEvery = 11;  // coprime to the period of the large worlds

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  bool one = false;    // only seed `first`
  bool trace = false;  // print the whole trace
  bool tail = false;   // print the end of the trace: on_abort() runs a seed again with it
  bool report = false;
  std::string story;
};

// Globals, since a signal handler gets no arguments.
std::uint64_t current_seed = 0;
const Trace* current_trace = nullptr;
bool replaying = false;

/// A check has failed. The first time, the process re-executes itself to run the seed again with a readable
/// trace; the second time, it prints the end of that trace.
void on_abort(int) {
  const std::string seed = std::to_string(current_seed);
  if (!replaying) {
    execl("/proc/self/exe", "weft_simulation", "--seed", seed.c_str(), "--tail", nullptr);
  }
  if (current_trace != nullptr) current_trace->print_tail();
  std::fflush(stdout);
  std::fprintf(stderr,
               "seed %s breaks a promise (above); to see it again:\n  WEFT_SEED=%s scripts/simulate.sh\n",
               seed.c_str(), seed.c_str());
  std::_Exit(1);
}

[[noreturn]] void usage() {
  std::fprintf(stderr,
               "usage: weft_simulation [--seeds N] [--first SEED] [--seed SEED [--trace]] [--report]\n"
               "       weft_simulation --story FILE\n");
  std::exit(2);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  const auto number = [&](int& i) {
    if (++i >= argc) usage();
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(argv[i], &end, 10);
    if (end == argv[i] || *end != '\0') usage();
    return value;
  };
  if (const char* seed = std::getenv("WEFT_SEED"); seed != nullptr && *seed != '\0') {
    arguments.first = std::strtoull(seed, nullptr, 10);
    arguments.one = true;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seeds") {
      arguments.seeds = number(i);
    } else if (argument == "--first") {
      arguments.first = number(i);
    } else if (argument == "--seed") {
      arguments.first = number(i);
      arguments.one = true;
    } else if (argument == "--trace") {
      arguments.trace = true;
    } else if (argument == "--tail") {
      arguments.tail = true;
    } else if (argument == "--story") {
      if (++i >= argc) usage();
      arguments.story = argv[i];
    } else if (argument == "--report") {
      arguments.report = true;
    } else {
      usage();
    }
  }
  if (arguments.one) arguments.seeds = 1;
  return arguments;
}

int tell(const std::string& file) {
  try {
    const std::string differences = check_story(file);
    fmt::print("{}", differences);
    return differences.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_simulation: {}\n", error.what());
    return 2;
  }
}

struct Totals {
  std::uint64_t events = 0;
  std::uint64_t tasks = 0;
};

std::uint64_t run_seed(std::uint64_t seed, const Arguments& arguments, Coverage& coverage, Totals& totals) {
  Trace trace(arguments.trace  ? Trace::Text::all
              : arguments.tail ? Trace::Text::tail
                               : Trace::Text::none,
              kTailLines);
  current_seed = seed;
  current_trace = &trace;
  Fabric fabric(seed, trace, coverage);
  fabric.run();
  current_trace = nullptr;
  totals.events += fabric.events();
  totals.tasks += fabric.tasks();
  return trace.hash();
}

int run(const Arguments& arguments) {
  Coverage coverage;
  Totals totals;
  std::uint64_t compared = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    const std::uint64_t seed = arguments.first + i;
    const std::uint64_t hash = run_seed(seed, arguments, coverage, totals);
    if (seed % kTwiceEvery != 0 || arguments.trace) continue;
    Coverage second;
    ++compared;
    if (run_seed(seed, arguments, second, totals) != hash)
      fail("the second run of the seed had another trace");
  }
  if (arguments.report) coverage.print();
  fmt::print("{} seeds, {} tasks, {} events; {} seeds run twice gave the same trace\n", arguments.seeds,
             totals.tasks, totals.events, compared);
  return coverage.sufficient(arguments.seeds) ? 0 : 1;
}

}  // namespace

}  // namespace weft::sim

int main(int argc, char** argv) {
  using namespace weft::sim;
  const Arguments arguments = parse(argc, argv);
  if (!arguments.story.empty()) return tell(arguments.story);
  replaying = arguments.tail || arguments.trace;
  std::signal(SIGABRT, on_abort);
  return run(arguments);
}
