// SPDX-License-Identifier: MIT
// weft_bench_journal FILE: how many records per second the journal (write-ahead log with group commit) makes
// durable when a broker feeds it, with a limit on the records that wait for their commit. Removes FILE.
#include <fmt/format.h>
#include <poll.h>

#include <chrono>
#include <exception>
#include <filesystem>

#include "broker/journal/journal_writer.hpp"

namespace weft::broker {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRecordBytes = 60;
constexpr std::chrono::seconds kRun{4};

/// `waiting_max`: limit on the records that wait; `packed`: records in one order, as a SUBMIT brings them.
void measure(const std::string& path, std::uint64_t waiting_max, std::uint64_t packed) {
  std::filesystem::remove(path);
  JournalWriter writer{JournalFile(path), BlobDirectory(path + ".blobs")};
  const std::string records(kRecordBytes * packed, 'r');
  std::uint64_t given = 0;
  std::uint64_t durable = 0;
  std::uint64_t commits = 0;
  const auto start = Clock::now();
  const auto end = start + kRun;
  while (Clock::now() < end || durable < given) {
    while (given + packed <= durable + waiting_max && Clock::now() < end) {
      given += packed;
      writer.give(JournalWriter::Append{given, records});
    }
    pollfd ready{writer.descriptor(), POLLIN, 0};
    poll(&ready, 1, 100);
    for (const JournalWriter::Answer& answer : writer.take()) {
      const auto& appended = std::get<JournalWriter::Appended>(answer);
      if (!appended.fault.empty()) throw std::runtime_error(appended.fault);
      durable = appended.number;
      ++commits;
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print("{:>7} waiting, {:>4} an order: {:>8.0f} records/s, {:>6.0f} commits/s, {:>6.1f} MB/s\n",
             waiting_max, packed, static_cast<double>(durable) / seconds,
             static_cast<double>(commits) / seconds, static_cast<double>(writer.bytes()) / seconds / 1e6);
}

}  // namespace

}  // namespace weft::broker

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "Usage: weft_bench_journal FILE\n");
    return 2;
  }
  try {
    for (const std::uint64_t packed : {1, 100}) {
      for (const std::uint64_t waiting : {1, 100, 1'000, 10'000, 100'000}) {
        if (waiting >= packed) weft::broker::measure(argv[1], waiting, packed);
      }
    }
    std::filesystem::remove(argv[1]);
    std::filesystem::remove(argv[1] + std::string(".blobs"));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_bench_journal: {}\n", error.what());
    return 1;
  }
}
