// SPDX-License-Identifier: MIT
// Chaos with real processes: about one fault of any kind per second, and every answer is checked.
//   weft_chaos [--minutes M] [--seed S]
#include <fmt/format.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/chaos/fleet.hpp"

namespace {

using namespace weft::chaos;

volatile std::sig_atomic_t interrupted = 0;

struct Starts {
  std::uint64_t executions = 0;
  std::vector<double> restarts_s;  // from the kill of a worker to the next start of its task elsewhere
};

/// Reads the starts file. Throws if a task that may start once was started twice.
Starts read_starts(const std::string& file, const std::vector<Fleet::WorkerKill>& kills) {
  std::map<std::string, std::int64_t> killed_at;
  for (const auto& kill : kills) killed_at[kill.worker] = kill.at_us;
  struct Start {
    std::string worker;
    std::int64_t at_us = 0;
  };
  std::map<std::uint64_t, Start> naps;
  std::map<std::uint64_t, std::string> once;
  Starts starts;
  std::ifstream lines(file);
  char kind = 0;
  std::uint64_t number = 0;
  int attempt = 0;
  for (Start start; lines >> kind >> number >> attempt >> start.worker >> start.at_us;) {
    ++starts.executions;
    if (kind == 'o') {
      const auto [first, added] = once.try_emplace(number, start.worker);
      if (!added) {
        throw std::runtime_error(fmt::format("task {} with crash_limit 1 was started twice: on {} and on {}",
                                             number, first->second, start.worker));
      }
    }
    if (kind != 'n') continue;
    Start& last = naps[number];
    const auto kill = killed_at.find(last.worker);
    if (kill != killed_at.end() && last.at_us < kill->second && start.at_us > kill->second) {
      starts.restarts_s.push_back(static_cast<double>(start.at_us - kill->second) / 1e6);
    }
    last = start;
  }
  return starts;
}

std::string spread(std::vector<double> seconds) {
  if (seconds.empty()) return "none measured";
  std::sort(seconds.begin(), seconds.end());
  return fmt::format("p50 {:.3f} s, worst {:.3f} s, of {}", seconds[seconds.size() / 2], seconds.back(),
                     seconds.size());
}

void report(const Fleet& fleet, const Starts& starts, double seconds, std::uint64_t seed) {
  int faults = 0;
  for (const auto& [name, count] : fleet.faults()) faults += count;
  const Fleet::Totals totals = fleet.totals();
  fmt::print(
      "chaos: {:.0f} s, seed {}: {} faults, {} tasks verified ({} of them failed as they had to), {} "
      "executions\n",
      seconds, seed, faults, totals.verified, totals.failed_rightly, starts.executions);
  for (const auto& [name, count] : fleet.faults()) fmt::print("  {:4} {}\n", count, name);
  fmt::print("from the start of a new broker to the next answer: {}\n", spread(fleet.broker_recoveries_s()));
  fmt::print("from a worker's kill to the start of its tasks elsewhere, whatever else was broken: {}\n",
             spread(starts.restarts_s));
}

/// Injects faults until the time is over, then ends the fleet.
void run(Fleet& fleet, double minutes, std::uint64_t seed) {
  const auto begin = Clock::now();
  const auto end =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(minutes * 60));
  std::mt19937_64 random(seed);
  auto next_fault = begin;
  while (Clock::now() < end) {
    if (interrupted != 0) throw std::runtime_error("interrupted");
    if (Clock::now() >= next_fault) {
      fleet.break_something();
      next_fault += std::chrono::milliseconds(std::uniform_int_distribution<int>(300, 1700)(random));
    }
    fleet.look();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // between two checks
  }
  fleet.finish();
  report(fleet, read_starts(fleet.starts(), fleet.worker_kills()),
         std::chrono::duration<double>(Clock::now() - begin).count(), seed);
}

}  // namespace

int main(int argc, char** argv) {
  double minutes = 1;
  std::uint64_t seed = std::random_device()();
  CLI::App app("Breaks a real cluster in every way, every second or so, and checks every answer.",
               "weft_chaos");
  app.add_option("--minutes", minutes, "how long")->check(CLI::Range(0.05, 10'000.0))->capture_default_str();
  app.add_option("--seed", seed, "which faults, when, and which tasks; default: drawn");
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // so that leftover processes become our children, and are found
  std::string folder = (std::filesystem::temp_directory_path() / "weft-chaos-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    fmt::print(stderr, "weft_chaos: cannot make a folder in {}\n",
               std::filesystem::temp_directory_path().string());
    return 1;
  }
  fmt::print("chaos: seed {}, {} minutes\n", seed, minutes);
  std::fflush(stdout);
  std::unique_ptr<Fleet> fleet;
  try {
    fleet = std::make_unique<Fleet>(Fleet::Settings{.folder = folder, .seed = seed});
    run(*fleet, minutes, seed);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_chaos: seed {}: {}\nThe logs of all processes are in {}\n", seed, error.what(),
               folder);
    return 1;
  }
  fleet.reset();
  std::filesystem::remove_all(folder);
  return 0;
}
