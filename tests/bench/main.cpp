// SPDX-License-Identifier: MIT
// weft_bench: measures every row of the speed table on real processes, with its floors next to it, round by
// round; scripts/bench.sh.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <thread>

#include "client/cli/bench_clock.hpp"
#include "tests/bench/cluster.hpp"
#include "tests/bench/rows.hpp"

namespace {

using namespace weft::bench;

constexpr Row kRows[] = {
    {1, measure_map},        {2, measure_submits}, {3, measure_round_trip}, {4, measure_curve},
    {5, measure_sleeps},     {6, measure_growth},  {7, measure_memory},     {8, measure_first_start},
    {9, measure_starting},   {10, measure_idle},   {11, measure_inc},       {12, measure_trip_under_load},
    {13, measure_scheduler},
};

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// From here on SIGINT and SIGTERM end this process and all processes that it has started.
void take_children_along() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    for (const pid_t pid : weft::support::descendants_of(getpid())) kill(pid, SIGKILL);
    _exit(128 + signal);
  }).detach();
}

/// Returns true if every measurement could be made.
bool measure(Run& run, const std::vector<int>& rows, int rounds) {
  bool all = true;
  for (int round = 1; round <= rounds; ++round) {
    for (const Row& row : kRows) {
      if (!rows.empty() && std::find(rows.begin(), rows.end(), row.number) == rows.end()) continue;
      const auto begin = Clock::now();
      try {
        row.measure(run);
        fmt::print(stderr, "round {}, row {}: {:.1f} s\n", round, row.number, seconds_since(begin));
      } catch (const std::exception& error) {
        all = false;
        fmt::print(stderr, "round {}, row {}: {}\n", round, row.number, error.what());
      }
    }
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && std::string(argv[1]) == "--client") return client_main({argv + 2, argv + argc});
  int rounds = 5;
  std::vector<int> rows;
  std::string markdown;
  std::string svg;
  Report report;
  Run run{report, 1'000'000, false, std::filesystem::read_symlink("/proc/self/exe")};
  CLI::App app("Measures Weft against floors and peers, all in one interleaved run.", "weft_bench");
  app.add_option("--rounds", rounds, "whose median is shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--rows", rows, "of the table, for example 1,3,4; default all")
      ->delimiter(',')
      ->check(CLI::Range(1, 13));
  app.add_option("--tasks", run.tasks, "where the table says a million")
      ->check(CLI::Range(10'000, 100'000'000))
      ->capture_default_str();
  app.add_flag("--peers", run.peers, "gearmand and Dask as well");
  app.add_option("--markdown", markdown, "write the table to this file");
  app.add_option("--svg", svg, "write the curve of row 4 to this file");
  CLI11_PARSE(app, argc, argv);
  take_children_along();
  try {
    const bool all = measure(run, rows, rounds);
    fmt::print("{}", report.text());
    write_file(markdown, report.markdown());
    write_file(svg, report.svg());
    return all ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_bench: {}\n", error.what());
    return 1;
  }
}
