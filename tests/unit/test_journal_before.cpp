// SPDX-License-Identifier: MIT
// The journal of release 1.0 (tests/data/journal-1.0): its weft-broker wrote it while a client left four
// detached commands, labelled answered, large, open and charged, and took the answer of a fifth.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "broker/journal/journal_file.hpp"
#include "broker/journal/journal_row.hpp"
#include "broker/journal/sqlite.hpp"
#include "common/wire/codec.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

namespace fs = std::filesystem;

/// A copy of the journal, and its contents.
struct Before {
  Before() {
    fs::copy(WEFT_SOURCE_DIR "/tests/data/journal-1.0", temp.path(), fs::copy_options::recursive);
    JournalFile file(path());
    disk.rows = file.read();
    for (const auto& blob : fs::directory_iterator(temp / "journal.blobs")) {
      BlobId id;
      const std::string name = blob.path().filename();
      for (std::size_t i = 0; i < id.bytes.size(); ++i)
        id.bytes[i] = static_cast<std::uint8_t>(std::stoi(name.substr(2 * i, 2), nullptr, 16));
      disk.blobs.insert(id);
    }
  }
  std::string path() const { return temp / "journal"; }
  std::vector<JournalRecord> records() const {
    std::vector<JournalRecord> out;
    for (const std::string& row : disk.rows) {
      const auto decoded = decode_row(row);
      REQUIRE_MESSAGE(decoded, decoded.fault());
      out.insert(out.end(), decoded->begin(), decoded->end());
    }
    return out;
  }

  support::TempDirectory temp;
  TestDisk disk;
};

template <class R>
std::vector<R> all(const std::vector<JournalRecord>& records) {
  std::vector<R> out;
  for (const JournalRecord& record : records) {
    if (const auto* one = std::get_if<R>(&record)) out.push_back(*one);
  }
  return out;
}

}  // namespace

TEST_SUITE("journal of 1.0") {
  TEST_CASE("every record of it is read, with the values that it was written with") {
    const Before before;
    const auto records = before.records();
    const auto sessions = all<SessionRecord>(records);
    REQUIRE(sessions.size() == 1);
    CHECK(sessions[0].name == "sweep@1.0");
    std::map<std::string, SpecRecord> specs;
    for (const SpecRecord& spec : all<SpecRecord>(records)) specs[spec.content.label] = spec;
    CHECK(specs.size() == 5);
    const wire::TaskSpec& open = specs.at("open").content;
    wire::TaskSpec expected;
    expected.kind = wire::TaskKind::command;
    expected.function = "echo";
    expected.label = "open";
    expected.priority = 2;
    expected.retries = 1;
    expected.timeout_ms = 30'000;
    expected.crash_limit = 2;
    expected.resources = {{"later", 1.0}};
    expected.prefer = {"nowhere"};
    expected.detach = true;
    CHECK(open == expected);
    CHECK(specs.at("open").minor == 0);
    CHECK(all<TaskRecord>(records).size() == 5);
    CHECK(all<FinalRecord>(records).size() == 2);
    CHECK(all<GoneRecord>(records).size() == 1);
    CHECK(all<ChargeRecord>(records).size() == 1);
    const auto charge = all<ChargeRecord>(records).at(0).charge;
    CHECK(charge.kind == wire::DeliveryKind::charged);
    CHECK(charge.outcome == wire::Outcome::failed);
    CHECK(charge.retries_used == 1);
    const auto info = wire::decode_error(charge.payload.inline_bytes());
    REQUIRE(info);
    CHECK(info->message.find("/nowhere/no-such-program") != std::string::npos);
    CHECK(info->worker == "w");
  }

  TEST_CASE("a broker of today goes on with its tasks, and writes a journal of today") {
    Before before;
    Settings settings = test_settings();
    settings.journal = true;
    settings.unix_us_at_zero = 1'764'459'400'000'000;
    Harness h(settings, before.disk);
    h.commit();
    TestWorker worker = h.join_worker_later("worker", {.slots = 4, .resources = {{"later", 4.0}}});
    h.advance(10s);
    h.skip();
    CHECK(h.status().assigned == 3);  // large, open and charged
    h.commit();
    std::vector<JournalRecord> written;
    for (const std::string& row : h.disk().rows) {
      const auto decoded = decode_row(row);
      REQUIRE(decoded);
      written.insert(written.end(), decoded->begin(), decoded->end());
    }
    CHECK(all<TaskRecord>(written).size() == 4);
    CHECK(all<FinalRecord>(written).size() == 1);
    CHECK(h.disk().blobs == before.disk.blobs);  // the argument of "large"
  }

  TEST_CASE("once opened it has the format of today, which tells a broker of 1.0 that it cannot read it") {
    const Before before;
    {
      const sqlite::Database database(before.path());
      sqlite::Statement version(database, "PRAGMA user_version");
      REQUIRE(version.step());
      CHECK(version.integer(0) == kJournalFormat);
    }
    JournalFile again(before.path());
    CHECK(again.read().size() == before.disk.rows.size());
  }
}

}  // namespace weft::broker
