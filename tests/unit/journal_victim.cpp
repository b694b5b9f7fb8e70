// SPDX-License-Identifier: MIT
// weft_journal_victim PATH: writes to a journal until it is killed, and prints what the journal has reported
// as durable. The journal's rows are records "1
// ", "2
// " ...; blob n is blob_content(n).
//
//   appended N    the records up to N are durable
//   sealed N      blob N is durable
//   forgetting N  blob N may be gone from now on
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "broker/journal/journal_writer.hpp"
#include "common/system/hash.hpp"
#include "journal_victim.hpp"

namespace weft::broker {

namespace {

constexpr std::uint64_t kRoundsMax = 2000;

void say(const char* what, std::uint64_t number) { dprintf(1, "%s %lu\n", what, number); }

void work(const std::string& path) {
  JournalFile file(path);
  const std::vector<std::string> rows = file.read();
  std::uint64_t record = 0;
  for (const std::string& row : rows)
    record += static_cast<std::uint64_t>(std::count(row.begin(), row.end(), '\n'));
  JournalWriter writer(std::move(file), BlobDirectory(path + ".blobs"));
  for (std::uint64_t round = 1; round <= kRoundsMax; ++round) {
    std::size_t awaited = 2;
    for (int i = 0; i < 3; ++i) {
      ++record;
      writer.give(JournalWriter::Append{record, std::to_string(record) + "\n"});
    }
    const std::string content = blob_content(round);
    const BlobId id = hash_of(content);
    const std::size_t half = content.size() / 2;
    writer.give(
        JournalWriter::StoreChunk{id, content.size(), half, Bytes(std::string_view(content).substr(half))});
    writer.give(
        JournalWriter::StoreChunk{id, content.size(), 0, Bytes(std::string_view(content).substr(0, half))});
    writer.give(JournalWriter::VerifyBlob{id});
    if (round > 2) {
      say("forgetting", round - 2);
      writer.give(JournalWriter::DropBlob{hash_of(blob_content(round - 2))});
    }
    if (round % 8 == 0) {
      std::string all;
      for (std::uint64_t i = 1; i <= record; ++i) all += std::to_string(i) + "\n";
      writer.give(JournalWriter::Rewrite{record, {all, ""}});
      ++awaited;
    }
    while (awaited > 0) {
      pollfd ready{writer.descriptor(), POLLIN, 0};
      poll(&ready, 1, -1);
      for (const JournalWriter::Answer& answer : writer.take()) {
        if (const auto* appended = std::get_if<JournalWriter::Appended>(&answer)) {
          say("appended", appended->number);
          if (appended->number != record) continue;  // a commit of one or two of the three
        }
        if (std::holds_alternative<JournalWriter::Verified>(answer)) say("sealed", round);
        --awaited;
      }
    }
  }
}

}  // namespace

}  // namespace weft::broker

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    weft::broker::work(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_journal_victim: %s\n", error.what());
    return 1;
  }
}
