// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <optional>

#include "broker/journal/journal_writer.hpp"
#include "common/system/hash.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::broker {

namespace {

struct Fixture {
  support::TempDirectory temp;
  std::string path = temp / "journal";
  std::optional<JournalWriter> writer;

  Fixture() { writer.emplace(JournalFile(path), BlobDirectory(path + ".blobs")); }

  /// Waits for answers until there are `count`.
  std::vector<JournalWriter::Answer> answers(std::size_t count) {
    std::vector<JournalWriter::Answer> all;
    while (all.size() < count) {
      pollfd ready{writer->descriptor(), POLLIN, 0};
      REQUIRE(poll(&ready, 1, 20'000) == 1);
      auto some = writer->take();
      REQUIRE(!some.empty());
      all.insert(all.end(), some.begin(), some.end());
    }
    pollfd ready{writer->descriptor(), POLLIN, 0};
    CHECK(poll(&ready, 1, 0) == 0);
    CHECK(all.size() == count);
    return all;
  }

  template <class T>
  T answer() {
    const auto all = answers(1);
    REQUIRE(std::holds_alternative<T>(all[0]));
    return std::get<T>(all[0]);
  }

  void append(std::uint64_t number) {
    writer->give(JournalWriter::Append{number, std::to_string(number) + "\n"});
  }

  /// Waits until appends up to `number` were answered. Returns how many answers that took.
  std::size_t await(std::uint64_t number) {
    std::size_t count = 0;
    for (std::uint64_t last = 0; last < number;) {
      pollfd ready{writer->descriptor(), POLLIN, 0};
      REQUIRE(poll(&ready, 1, 20'000) == 1);
      for (const auto& one : writer->take()) {
        const auto& appended = std::get<JournalWriter::Appended>(one);
        CHECK(appended.fault == "");
        CHECK(appended.number > last);
        last = appended.number;
        ++count;
      }
    }
    return count;
  }

  std::vector<std::string> rows() {
    writer.reset();
    return JournalFile(path).read();
  }
};

std::string joined(const std::vector<std::string>& rows) {
  return std::accumulate(rows.begin(), rows.end(), std::string());
}

}  // namespace

TEST_SUITE("journal writer") {
  TEST_CASE("appends that wait behind one another are one row, and none is lost when it ends") {
    Fixture f;
    std::string expected;
    for (std::uint64_t i = 1; i <= 5000; ++i) {
      f.append(i);
      expected += std::to_string(i) + "\n";
    }
    const std::size_t groups = f.await(5000);
    CHECK(groups < 2500);
    f.append(5001);
    const auto rows = f.rows();
    CHECK(rows.size() == groups + 1);
    CHECK(joined(rows) == expected + "5001\n");
  }

  TEST_CASE("orders are performed in the order in which they were given") {
    Fixture f;
    f.append(1);
    f.append(2);
    f.writer->give(JournalWriter::Rewrite{2, {"1 and 2\n"}});
    f.append(3);
    std::vector<std::uint64_t> numbers;
    while (numbers.empty() || numbers.back() != 3) {
      pollfd ready{f.writer->descriptor(), POLLIN, 0};
      REQUIRE(poll(&ready, 1, 20'000) == 1);
      for (const auto& one : f.writer->take()) {
        if (const auto* appended = std::get_if<JournalWriter::Appended>(&one))
          numbers.push_back(appended->number);
        if (std::holds_alternative<JournalWriter::Rewritten>(one)) numbers.push_back(100);
      }
    }
    numbers.erase(numbers.begin(), std::find(numbers.begin(), numbers.end(), 2));
    CHECK(numbers == std::vector<std::uint64_t>{2, 100, 3});
    CHECK(f.writer->bytes() == 10);
    CHECK(f.rows() == std::vector<std::string>{"1 and 2\n", "3\n"});
  }

  TEST_CASE("a blob is durable when it is answered, and can be read beside the thread") {
    Fixture f;
    const std::string content(3'000'000, 'b');
    const BlobId id = hash_of(content);
    f.writer->give(JournalWriter::StoreChunk{id, content.size(), 0, Bytes(content)});
    f.writer->give(JournalWriter::VerifyBlob{id});
    const auto sealed = f.answer<JournalWriter::Verified>();
    CHECK(sealed.id == id);
    CHECK(sealed.fault == "");
    for (std::uint64_t i = 1; i <= 100; ++i) {
      f.append(i);
      CHECK(f.writer->folder().has(id));
      CHECK(f.writer->folder().read(id, i * 1000, 1000) == Bytes(std::string(1000, 'b')));
    }
    f.await(100);
    f.writer->give(JournalWriter::DropBlob{id});
    f.append(101);
    f.await(101);
    CHECK(!f.writer->folder().has(id));
  }

  TEST_CASE("a blob whose chunk failed is answered once, for its seal, and may come again") {
    Fixture f;
    const BlobId id = hash_of("abc");
    f.writer->give(JournalWriter::StoreChunk{id, 3, 2, Bytes("abc")});
    f.writer->give(JournalWriter::StoreChunk{id, 3, 0, Bytes("abc")});
    f.writer->give(JournalWriter::VerifyBlob{id});
    CHECK(f.answer<JournalWriter::Verified>().fault.find("3 bytes at 2 do not belong") != std::string::npos);
    f.writer->give(JournalWriter::VerifyBlob{id});
    CHECK(f.answer<JournalWriter::Verified>().fault.find("nothing of it has come") != std::string::npos);
    f.writer->give(JournalWriter::StoreChunk{id, 3, 0, Bytes("abc")});
    f.writer->give(JournalWriter::VerifyBlob{id});
    CHECK(f.answer<JournalWriter::Verified>().fault == "");
  }

  TEST_CASE(
      "every append of a group that failed is answered with its reason, and later ones are not harmed") {
    Fixture f;
    f.append(1);
    f.await(1);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{1, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);  // no file may grow: as if the disk were full
    f.append(2);
    f.append(3);
    f.append(4);
    const auto answers = f.answers(3);
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto& refused = std::get<JournalWriter::Appended>(answers[i]);
      CHECK(refused.number == i + 2);
      CHECK_MESSAGE(
          refused.fault.find("cannot be written: disk I/O error (File too large)") != std::string::npos,
          refused.fault);
    }
    f.append(5);
    f.await(5);
    CHECK(f.rows() == std::vector<std::string>{"1\n", "5\n"});
  }
}

}  // namespace weft::broker
