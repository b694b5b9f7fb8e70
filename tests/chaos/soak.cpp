// SPDX-License-Identifier: MIT
// A steady load for a long time: memory, descriptors and latency must stay flat.   weft_soak [--minutes M]
// This process is the client. Every 100 ms it submits a burst of small tasks, sometimes with large arguments
// and results; between bursts it submits single tasks, whose round trips are the latency.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/chaos/tasks.hpp"
#include "tests/support/process.hpp"

namespace {

using namespace weft::chaos;
using namespace std::chrono_literals;
using weft::support::Process;
using Clock = std::chrono::steady_clock;

constexpr auto kBurst = 100ms;
constexpr int kBurstTasks = 250;
constexpr std::size_t kLargeBytes = 300'000;
constexpr auto kSample = 3s;
// Growth that is allowed after the warm-up, which is the first fifth: allocators settle late.
constexpr double kGrowthMax = 0.10;
constexpr double kGrowthFreeMib = 4;
constexpr double kLatencyFactorMax = 2;
constexpr int kDescriptorsMax = 4;

std::uint64_t next(std::uint64_t number) { return number + 1; }
Blob turned(Blob blob) { return {blob.rbegin(), blob.rend()}; }

struct Usage {
  double rss_mib = 0;
  int descriptors = 0;
};

Usage usage_of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  Usage usage;
  std::ifstream statm(folder + "/statm");
  long pages = 0;
  long resident = 0;
  statm >> pages >> resident;
  usage.rss_mib = static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
  std::error_code ignored;
  for (auto at = std::filesystem::directory_iterator(folder + "/fd", ignored);
       at != std::filesystem::directory_iterator(); ++at)
    ++usage.descriptors;
  return usage;
}

struct Sample {
  Clock::time_point at;
  std::vector<Usage> usages;  // of each watched process
};

struct Minute {
  std::uint64_t tasks = 0;
  std::vector<double> round_trips_us;
  double percentile(double part) {
    if (round_trips_us.empty()) return 0;
    std::ranges::sort(round_trips_us);
    return round_trips_us[static_cast<std::size_t>(part * static_cast<double>(round_trips_us.size() - 1))];
  }
};

class Soak {
 public:
  explicit Soak(double minutes)
      : length_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(minutes * 60))) {
    broker_ = std::make_unique<Process>(
        std::vector<std::string>{weft::support::binary("weft-broker"), "--port", "0"});
    const std::string before = "serving on tcp://";
    if (!broker_->prints(before) || !broker_->prints("\n"))
      throw std::runtime_error("no broker: " + broker_->err());
    const std::string said = broker_->out();
    const std::size_t begin = said.find(before) + before.size();
    const std::string address = said.substr(begin, said.find('\n', begin) - begin);
    worker_ = std::make_unique<Process>(
        std::vector<std::string>{weft::support::binary("weft-worker"), address, "--nprocs", "2",
                                 "--local-directory", directory_.path() / "cache"});
    client_ = std::make_unique<weft::Client>(weft::ClientOptions{.address = address});
  }

  /// Returns whether memory, descriptors and latency stayed flat.
  bool run() {
    fmt::print("{:>6} {:>9} {:>9} {:>9} {:>9}   {}\n", "minute", "tasks", "p50 us", "p99 us", "max us",
               "MiB resident and descriptors of broker, worker, client");
    const auto begin = Clock::now();
    auto next_sample = begin;
    for (int turn = 0; Clock::now() < begin + length_; ++turn) {
      const auto minute = static_cast<std::size_t>((Clock::now() - begin) / 60s);
      while (minutes_.size() <= minute) {
        if (!minutes_.empty()) print_last();
        minutes_.emplace_back();
      }
      burst(turn, begin + kBurst * (turn + 1));
      if (Clock::now() < next_sample) continue;
      samples_.push_back(
          {Clock::now(), {usage_of(broker_->pid()), usage_of(worker_->pid()), usage_of(getpid())}});
      next_sample += kSample;
    }
    print_last();
    return verdict(begin);
  }

 private:
  void burst(int turn, Clock::time_point end) {
    Minute& minute = minutes_.back();
    std::vector<weft::Future<std::uint64_t>> small;
    for (int i = 0; i < kBurstTasks; ++i)
      small.push_back(client_->submit<next>(number_ + static_cast<std::uint64_t>(i)));
    if (turn % 5 == 0) {
      Blob blob = blob_of(number_, kLargeBytes);
      Blob back = client_->submit<turned>(blob).result();
      std::ranges::reverse(back);
      if (back != blob) throw std::runtime_error("a large result is wrong");
      ++minute.tasks;
    }
    for (auto& future : small) {
      if (future.result() != ++number_) throw std::runtime_error("a result is wrong");
    }
    minute.tasks += small.size();
    while (Clock::now() + 10ms < end) {
      const auto start = Clock::now();
      client_->submit<next>(1).wait();
      minute.round_trips_us.push_back(
          std::chrono::duration<double, std::micro>(Clock::now() - start).count());
      ++minute.tasks;
      std::this_thread::sleep_for(10ms);  // the pace of the load
    }
    std::this_thread::sleep_until(end);
  }

  void print_last() {
    Minute& minute = minutes_.back();
    std::string usages;
    if (!samples_.empty()) {
      for (const Usage& usage : samples_.back().usages)
        usages += fmt::format("{:7.1f} {:3}  ", usage.rss_mib, usage.descriptors);
    }
    fmt::print("{:>6} {:>9} {:>9.0f} {:>9.0f} {:>9.0f}   {}\n", minutes_.size(), minute.tasks,
               minute.percentile(0.5), minute.percentile(0.99), minute.percentile(1), usages);
    std::fflush(stdout);
  }

  /// Compares the first with the last fifth of what follows the warm-up.
  bool verdict(Clock::time_point begin) {
    std::erase_if(samples_, [&](const Sample& sample) { return sample.at < begin + length_ / 5; });
    const std::size_t part = samples_.size() / 5;
    if (part == 0) {
      fmt::print("too short for a verdict: {} samples after the warm-up\n", samples_.size());
      return false;
    }
    bool flat = true;
    static constexpr const char* kNames[] = {"broker", "worker", "client"};
    for (std::size_t who = 0; who < 3; ++who) {
      Usage first;
      Usage last;
      for (std::size_t i = 0; i < part; ++i) {
        const Usage& early = samples_[i].usages[who];
        const Usage& late = samples_[samples_.size() - 1 - i].usages[who];
        first = {first.rss_mib + early.rss_mib / static_cast<double>(part),
                 std::max(first.descriptors, early.descriptors)};
        last = {last.rss_mib + late.rss_mib / static_cast<double>(part),
                std::max(last.descriptors, late.descriptors)};
      }
      const bool good = last.rss_mib <= first.rss_mib * (1 + kGrowthMax) + kGrowthFreeMib &&
                        last.descriptors <= first.descriptors + kDescriptorsMax;
      flat &= good;
      fmt::print("{}: {:.1f} -> {:.1f} MiB, {} -> {} descriptors: {}\n", kNames[who], first.rss_mib,
                 last.rss_mib, first.descriptors, last.descriptors, good ? "flat" : "GROWS");
    }
    const std::size_t settled = minutes_.size() / 5;
    const double early = minutes_[settled].percentile(0.5);
    const double late =
        minutes_[std::max(settled, minutes_.size() < 2 ? 0 : minutes_.size() - 2)].percentile(0.5);
    const bool steady = late <= early * kLatencyFactorMax;
    fmt::print("latency: p50 {:.0f} -> {:.0f} us: {}\n", early, late, steady ? "steady" : "GROWS");
    flat &= steady;
    fmt::print(
        "verdict: {} (bounds: memory +{:.0f} % and {:.0f} MiB, {} descriptors, latency x{:.0f}, after the "
        "first fifth)\n",
        flat ? "flat" : "NOT flat", kGrowthMax * 100, kGrowthFreeMib, kDescriptorsMax, kLatencyFactorMax);
    return flat;
  }

  Clock::duration length_;
  weft::support::TempDirectory directory_;
  std::unique_ptr<Process> broker_;
  std::unique_ptr<Process> worker_;
  std::unique_ptr<weft::Client> client_;
  std::uint64_t number_ = 0;
  std::vector<Minute> minutes_;
  std::vector<Sample> samples_;
};

}  // namespace

int main(int argc, char** argv) {
  double minutes = 60;
  CLI::App app("A steady load for a long time: memory, descriptors and latency must stay flat.", "weft_soak");
  app.add_option("--minutes", minutes, "how long")->check(CLI::Range(0.5, 100'000.0))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return Soak(minutes).run() ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_soak: {}\n", error.what());
    return 1;
  }
}
