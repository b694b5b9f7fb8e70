// SPDX-License-Identifier: MIT
// A journal whose files were cut, zeroed or changed either yields the rows that were written or is refused.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "broker/journal/journal_file.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::broker {

namespace {

using Rows = std::vector<std::string>;

constexpr int kRows = 120;

std::string row(int i) { return std::to_string(i) + std::string(static_cast<std::size_t>(i % 7) * 300, 'x'); }

Rows rows(int count) {
  Rows out;
  for (int i = 1; i <= count; ++i) out.push_back(row(i));
  return out;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// Both files of a journal: the database and its write-ahead log.
struct Image {
  std::string database;
  std::string wal;
};

/// The files of a journal that was closed or, with `killed`, whose process ended without closing it.
Image image(bool killed) {
  support::TempDirectory temp;
  const std::string path = temp / "journal";
  const pid_t pid = fork();
  if (pid == 0) {
    auto* file = new JournalFile(path);
    for (int i = 1; i <= kRows; ++i) file->append(row(i));
    if (!killed) delete file;
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  REQUIRE(status == 0);
  return {content_of(path), content_of(path + "-wal")};
}

struct Opened {
  std::string refusal;
  Rows rows;
  bool noticed = false;
};

Opened open(const std::string& path, JournalFile::Mode mode = JournalFile::Mode::normal) {
  try {
    JournalFile file(path, mode);
    return {"", file.read(), !file.notices().empty()};
  } catch (const std::runtime_error& error) {
    return {error.what(), {}, false};
  }
}

/// Opens the journal in a new directory.
Opened open(const Image& image, JournalFile::Mode mode = JournalFile::Mode::normal) {
  support::TempDirectory temp;
  const std::string path = temp / "journal";
  put(path, image.database);
  if (!image.wal.empty()) put(path + "-wal", image.wal);
  const Opened opened = open(path, mode);
  if (opened.refusal.empty()) {  // the journal can be continued
    JournalFile(path).append("more");
    Rows expected = opened.rows;
    expected.push_back("more");
    CHECK(open(path).rows == expected);
  } else if (mode == JournalFile::Mode::normal) {
    CHECK(content_of(path) == image.database);
    CHECK(content_of(path + "-wal") == image.wal);
  }
  return opened;
}

bool is_part_of(const Rows& some, const Rows& all) {
  auto next = all.begin();
  for (const std::string& one : some) {
    next = std::find(next, all.end(), one);
    if (next == all.end()) return false;
    ++next;
  }
  return true;
}

/// Opens a journal that was changed at one place; returns whether it was refused. A salvage must then lose
/// little.
bool check_changed(const Image& changed, std::size_t lost_max) {
  const Opened opened = open(changed);
  if (opened.refusal.empty()) {
    CHECK(opened.rows == rows(static_cast<int>(opened.rows.size())));
    CHECK(opened.rows.size() + (opened.noticed ? 1 : 0) >= kRows);
    return false;
  }
  CHECK(!opened.refusal.ends_with(": "));
  const Opened salvaged = open(changed, JournalFile::Mode::salvage);
  CHECK_MESSAGE((salvaged.refusal.empty() || opened.refusal.find("format") != std::string::npos),
                salvaged.refusal);
  CHECK(is_part_of(salvaged.rows, rows(kRows)));
  if (salvaged.refusal.empty()) CHECK(salvaged.rows.size() + lost_max >= kRows);
  return true;
}

}  // namespace

TEST_SUITE("journal damage") {
  TEST_CASE("a write-ahead log that was cut anywhere gives the first rows, and zeroes instead the same") {
    const Image whole = image(true);
    REQUIRE(whole.wal.size() > 100'000);
    CHECK(open(whole).rows == rows(kRows));
    std::vector<std::size_t> places = {0, 1, 31, 32, 33};
    for (std::size_t frame = 32; frame < whole.wal.size(); frame += 4120 * 17) {
      for (const std::size_t within : {0u, 1u, 8u, 23u, 24u, 25u, 2000u, 4119u})
        places.push_back(frame + within);
    }
    for (std::size_t back = 1; back < 20'000; back = back * 3 / 2 + 1)
      places.push_back(whole.wal.size() - back);
    std::sort(places.begin(), places.end());
    std::size_t most = 0;
    int noticed = 0;
    for (const std::size_t place : places) {
      CAPTURE(place);
      const Opened cut = open(Image{whole.database, whole.wal.substr(0, place)});
      CHECK(cut.refusal == "");
      CHECK(cut.rows == rows(static_cast<int>(cut.rows.size())));
      CHECK(cut.rows.size() >= most);
      most = cut.rows.size();
      noticed += cut.noticed ? 1 : 0;
      std::string zeroed = whole.wal.substr(0, place);
      zeroed.resize(whole.wal.size());
      const Opened zero = open(Image{whole.database, zeroed});
      CHECK(zero.refusal == "");
      CHECK(zero.rows == cut.rows);
      CHECK(zero.noticed);
    }
    CHECK(most + 4 >= kRows);
    CHECK(noticed > 20);
  }

  TEST_CASE("a byte that changed in the write-ahead log costs no row in silence") {
    const Image whole = image(true);
    std::mt19937 random(1);
    int refused = 0;
    for (int i = 0; i < 60; ++i) {
      Image changed = whole;
      // The header of the log, those of its frames, or any other place.
      std::size_t place = std::uniform_int_distribution<std::size_t>(0, whole.wal.size() - 1)(random);
      if (i % 4 == 0) place = place % 32;
      if (i % 4 == 1) place = 32 + place / 4120 * 4120 + place % 24;
      if (place >= whole.wal.size()) continue;
      CAPTURE(place);
      changed.wal[place] = static_cast<char>(changed.wal[place] ^ (1 << random() % 8));
      refused += check_changed(changed, 60) ? 1 : 0;
    }
    CHECK(refused > 40);
  }

  TEST_CASE("a byte that changed in the database is refused or does not matter") {
    const Image whole = image(false);
    CHECK(whole.wal.empty());
    CHECK(open(whole).rows == rows(kRows));
    std::mt19937 random(2);
    int refused = 0;
    for (int i = 0; i < 120; ++i) {
      Image changed = whole;
      std::size_t place = std::uniform_int_distribution<std::size_t>(0, whole.database.size() - 1)(random);
      if (i % 4 == 0) place = place % 100;                       // the header
      if (i % 4 == 1) place = place / 4096 * 4096 + place % 32;  // the headers of pages
      CAPTURE(place);
      changed.database[place] = static_cast<char>(changed.database[place] ^ (1 << random() % 8));
      refused += check_changed(changed, kRows) ? 1 : 0;
    }
    CHECK(refused > 50);
  }

  TEST_CASE("a database that was cut or zeroed is refused") {
    const Image whole = image(false);
    for (std::size_t size = 0; size < whole.database.size(); size += 4096 * 5 + 333) {
      CAPTURE(size);
      CHECK(open(Image{whole.database.substr(0, size), ""}).refusal != "");
      std::string zeroed = whole.database.substr(0, size);
      zeroed.resize(whole.database.size());
      CHECK(open(Image{zeroed, ""}).refusal != "");
    }
  }
}

}  // namespace weft::broker
