// SPDX-License-Identifier: MIT
#include "broker/journal/journal_salvage.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <vector>

#include "broker/journal/journal_row.hpp"
#include "broker/journal/sqlite.hpp"
#include "broker/journal/wal_check.hpp"
#include "common/system/fd.hpp"

namespace weft::broker {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kUnreadableMax = 100'000;  // row numbers tried after the last readable row
constexpr std::uint64_t kRowBytesMin = 64;         // the two checksums of a row

void sync(const std::string& path, int flags) {
  const Fd file = checked(open(path.c_str(), flags | O_CLOEXEC), "cannot open " + path);
  if (fsync(file.get()) < 0) throw std::system_error(errno, std::system_category(), "cannot sync " + path);
}

void sync_folder_of(const std::string& path) {
  const fs::path folder = fs::absolute(path).parent_path();
  sync(folder, O_RDONLY | O_DIRECTORY);
}

void rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot rename " + from);
  }
}

/// Writes a journal with these rows to `path` and syncs the file, but not its directory entry.
void write_journal(const std::string& path, const std::vector<std::string>& rows) {
  for (const char* suffix : {"", "-wal"}) fs::remove(path + suffix);
  checked(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "cannot make " + path);
  {
    sqlite::Database database(path);
    database.run(fmt::format("PRAGMA page_size = {}; PRAGMA application_id = {}; PRAGMA user_version = {};"
                             "PRAGMA journal_mode = MEMORY; BEGIN; {}; {};",
                             kJournalPageSize, kJournalApplication, kJournalFormat, kJournalLog, kJournalHead)
                     .c_str());
    BlobId last;
    std::uint64_t number = 0;
    sqlite::Statement insert(database, "INSERT INTO log VALUES (?, ?, ?, ?)");
    for (const std::string& row : rows) {
      const BlobId checksum = row_checksum(++number, last, row);
      insert.bind(1, number).bind(2, view_of(last)).bind(3, view_of(checksum)).bind(4, row).run();
      last = checksum;
    }
    sqlite::Statement(database, "INSERT INTO head VALUES (?, ?)")
        .bind(1, number)
        .bind(2, view_of(last))
        .run();
    database.run("COMMIT; PRAGMA journal_mode = WAL;");
  }
  sync(path, O_RDWR);
}

/// Copies the first page of journal `from` to the database `fd`, with the page count of `fd`. The first pages
/// of all journals are equal, except for counters.
void give_first_page(const std::string& from, int fd) {
  std::string page(kJournalPageSize, '\0');
  const Fd file = checked(open(from.c_str(), O_RDONLY | O_CLOEXEC), "cannot open " + from);
  if (pread(file.get(), page.data(), page.size(), 0) != static_cast<ssize_t>(page.size())) {
    throw std::system_error(errno, std::system_category(), "cannot read " + from);
  }
  const auto pages = static_cast<std::uint32_t>(lseek(fd, 0, SEEK_END) / kJournalPageSize);
  for (std::size_t i = 0; i < 4; ++i) page[28 + i] = static_cast<char>(pages >> (24 - 8 * i) & 0xff);
  std::fill_n(page.begin() + 32, 8, '\0');  // no free pages
  write_all_at(fd, page, 0);
}

struct WholeRows {
  std::vector<std::string> rows;
  std::uint64_t left_out = 0;
};

/// Reads every whole row. Unreadable rows are skipped, number by number.
WholeRows read_whole_rows(const std::string& path) {
  sqlite::Database database(path);
  database.checkpoint_on_close(false);
  database.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;");
  std::uint64_t end = 0;
  try {
    sqlite::Statement head(database, "SELECT number FROM head");
    if (head.step()) end = head.integer(0);
  } catch (const sqlite::Error&) {
  }
  WholeRows whole;
  std::uint64_t next = 1;
  std::uint64_t read_last = 0;
  const std::uint64_t unreadable_max = std::min(kUnreadableMax, fs::file_size(path) / kRowBytesMin);
  while (next <= read_last + unreadable_max) {
    try {
      sqlite::Statement log(
          database, "SELECT number, previous, checksum, content FROM log WHERE number >= ? ORDER BY number");
      log.bind(1, next);
      while (log.step()) {
        const std::uint64_t number = log.integer(0);
        if (number < next) throw sqlite::Error(SQLITE_CORRUPT, "the order is lost");
        next = number + 1;
        BlobId previous;
        if (log.blob(1).size() != previous.bytes.size()) continue;
        std::memcpy(previous.bytes.data(), log.blob(1).data(), previous.bytes.size());
        if (log.blob(2) != view_of(row_checksum(number, previous, log.blob(3)))) continue;
        whole.rows.emplace_back(log.blob(3));
        read_last = number;
      }
      break;
    } catch (const sqlite::Error& error) {
      if (error.code() == SQLITE_IOERR || error.code() == SQLITE_NOMEM) throw;
      ++next;
    }
  }
  if (end < read_last || end > read_last + unreadable_max) end = read_last;  // the head is damaged too
  whole.left_out = end - std::min<std::uint64_t>(end, whole.rows.size());
  return whole;
}

}  // namespace

void make_journal(const std::string& path) try {
  const std::string made = path + ".new";
  write_journal(made, {});
  rename(made, path);
  sync_folder_of(path);
} catch (const std::exception& error) {
  throw std::runtime_error(fmt::format("the journal {} cannot be made: {}", path, error.what()));
}

Salvaged salvage_journal(const std::string& path) try {
  const std::string made = path + ".new";
  const std::string copy = path + ".copy";
  write_journal(made, {});
  fs::copy_file(path, copy, fs::copy_options::overwrite_existing);
  {
    const Fd file = checked(open(copy.c_str(), O_RDWR | O_CLOEXEC), "cannot open " + copy);
    apply_wal(path + "-wal", kJournalPageSize, file.get());
    give_first_page(made, file.get());
  }
  const WholeRows whole = read_whole_rows(copy);
  for (const char* suffix : {"", "-wal"}) fs::remove(copy + suffix);
  if (whole.rows.empty()) {
    fs::remove(made);
    throw std::runtime_error(
        "no row of it is whole. Put a copy in its place, or move it away to start without");
  }
  write_journal(made, whole.rows);
  rename(made, path + ".salvaged");
  sync_folder_of(path);
  return {whole.rows.size(), whole.left_out, finish_salvage(path)};
} catch (const std::exception& error) {
  throw std::runtime_error(fmt::format("the journal {} cannot be salvaged: {}", path, error.what()));
}

std::string finish_salvage(const std::string& path) {
  const std::string salvaged = path + ".salvaged";
  if (!fs::exists(salvaged)) return "";
  std::string damaged = path + ".damaged";
  for (int i = 2; fs::exists(damaged); ++i) damaged = fmt::format("{}.damaged.{}", path, i);
  if (fs::exists(path + "-wal")) rename(path + "-wal", damaged + "-wal");
  if (fs::exists(path)) rename(path, damaged);
  rename(salvaged, path);
  sync_folder_of(path);
  return damaged;
}

}  // namespace weft::broker
