// SPDX-License-Identifier: MIT
#include "broker/journal/journal_file.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <utility>

#include "broker/journal/journal_row.hpp"
#include "broker/journal/journal_salvage.hpp"
#include "broker/journal/sqlite.hpp"
#include "broker/journal/wal_check.hpp"
#include "common/system/crash_point.hpp"

namespace weft::broker {

namespace fs = std::filesystem;

namespace {

// SQLite's write-ahead log is checkpointed into the database when it has 4096 pages (16 MiB).
constexpr const char* kSettings = R"(
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4096;
    PRAGMA journal_size_limit = 67108864;
)";

/// The content of the file differs from what was written.
struct Damage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string value_of(const sqlite::Database& database, std::string_view sql) {
  sqlite::Statement statement(database, sql);
  return statement.step() ? std::string(statement.blob(0)) : "";
}

}  // namespace

struct JournalFile::Store {
  explicit Store(const std::string& path) : database(path) {}
  sqlite::Database database;
  std::optional<sqlite::Statement> insert;
  std::optional<sqlite::Statement> head;
};

JournalFile::JournalFile(std::string path, Mode mode) : path_(std::move(path)) {
  try {
    finish_salvage(path_);
    if (!fs::exists(path_)) make();
    open();
    return;
  } catch (const Damage& damage) {
    if (mode == Mode::normal) {
      throw std::runtime_error(
          fmt::format("the journal {} is damaged: {}. Start once with --journal-salvage, which keeps every "
                      "row that is whole, or put a copy in its place",
                      path_, damage.what()));
    }
  } catch (const fs::filesystem_error& error) {
    throw std::runtime_error(
        fmt::format("the journal {} cannot be opened: {}", path_, error.code().message()));
  }
  const Salvaged salvaged = salvage_journal(path_);
  open();
  notices_.push_back(
      fmt::format("the journal {} was damaged: {} rows are whole and were kept, {} were not; the "
                  "damaged one is now {}",
                  path_, salvaged.kept, salvaged.left_out, salvaged.damaged));
}

JournalFile::~JournalFile() = default;
JournalFile::JournalFile(JournalFile&&) noexcept = default;

void JournalFile::make() {
  const fs::path folder = fs::absolute(path_).parent_path();
  if (!fs::is_directory(folder)) {
    throw std::runtime_error(
        fmt::format("the journal {} cannot be made: there is no folder {}: make it, or "
                    "name another file",
                    path_, folder.string()));
  }
  if (fs::exists(path_ + "-wal")) throw Damage("its write-ahead log is there, and it is not");
  make_journal(path_);
}

void JournalFile::open() try {
  rows_.clear();
  notices_.clear();
  number_ = bytes_ = 0;
  checksum_ = {};
  if (!fs::is_regular_file(path_)) {
    throw std::runtime_error(fmt::format("the journal {} is not a file: name another", path_));
  }
  if (fs::file_size(path_) == 0) throw Damage("it is empty, and even a new one is not");
  auto store = std::make_unique<Store>(path_);
  sqlite::Database& database = store->database;
  database.checkpoint_on_close(false);  // a file that turns out to be damaged must stay as it is
  if (sqlite3_db_readonly(database.get(), "main") == 1) {
    throw std::runtime_error(fmt::format("the journal {} may not be written by this user", path_));
  }
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  check_identity(database);
  if (const WalState wal = check_wal(path_ + "-wal", kJournalPageSize); wal.damaged) {
    throw Damage("the end of its write-ahead log is whole and something before it is not");
  } else if (wal.torn_bytes > 0) {
    notices_.push_back(
        fmt::format("the last {} bytes of {}-wal were torn or zeroed: cut off", wal.torn_bytes, path_));
  }
  database.run("PRAGMA journal_mode = WAL");
  database.run(kSettings);
  if (const std::string found = value_of(database, "PRAGMA quick_check(1)"); found != "ok")
    throw Damage(found);
  store->insert.emplace(database, "INSERT INTO log VALUES (?, ?, ?, ?)");
  store->head.emplace(database, "UPDATE head SET number = ?, checksum = ?");
  store_ = std::move(store);
  load();
  // An older broker cannot read rows written from here on: the new format number has it refuse the file.
  if (value_of(store_->database, "PRAGMA user_version") != std::to_string(kJournalFormat))
    store_->database.run(fmt::format("PRAGMA user_version = {}", kJournalFormat).c_str());
  store_->database.checkpoint_on_close(true);
  sqlite3_wal_checkpoint_v2(store_->database.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
} catch (const sqlite::Error& error) {
  switch (error.code()) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw std::runtime_error(
          fmt::format("the journal {} is in use by {}", path_, sqlite::holder_of(path_)));
    case SQLITE_NOTADB:
      throw Damage("it is no database, or its first bytes are not what they were");
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // a table is missing or has other columns
    case SQLITE_MISMATCH:
      throw Damage(error.what());
    default:
      throw std::runtime_error(fmt::format("the journal {} cannot be opened: {}", path_, error.what()));
  }
}

void JournalFile::check_identity(const sqlite::Database& database) const {
  if (value_of(database, "PRAGMA application_id") != std::to_string(kJournalApplication)) {
    throw Damage("it is a database, but not a journal of Weft, or its first bytes are not what they were");
  }
  const std::string format = value_of(database, "PRAGMA user_version");
  if (format != std::to_string(kJournalFormat) && format != std::to_string(kJournalFormatBefore)) {
    throw std::runtime_error(fmt::format(
        "the journal {} has format {}, and this weft-broker knows formats {} and {} only: start the one "
        "that wrote it",
        path_, format, kJournalFormatBefore, kJournalFormat));
  }
  sqlite::Statement tables(database, "SELECT sql FROM sqlite_schema ORDER BY name");
  for (const std::string_view expected : {kJournalHead, kJournalLog}) {
    if (!tables.step() || tables.blob(0) != expected) throw Damage("its tables are not those of a journal");
  }
  if (tables.step()) throw Damage("there are other tables in it");
}

void JournalFile::load() {
  const sqlite::Database& database = store_->database;
  sqlite::Statement head(database, "SELECT number, checksum FROM head");
  if (!head.step()) throw Damage("it does not say where it ends");
  const std::uint64_t end = head.integer(0);
  const std::string end_checksum(head.blob(1));
  if (head.step()) throw Damage("it says twice where it ends");

  bool torn = false;
  sqlite::Statement log(database, "SELECT number, previous, checksum, content FROM log ORDER BY number");
  while (log.step()) {
    const std::uint64_t number = log.integer(0);
    if (torn || number != number_ + 1)
      throw Damage(fmt::format("row {} of {} is not whole", number_ + 1, end));
    const BlobId checksum = row_checksum(number, checksum_, log.blob(3));
    if (log.blob(1) != view_of(checksum_) || log.blob(2) != view_of(checksum)) {
      torn = true;
      continue;
    }
    rows_.emplace_back(log.blob(3));
    bytes_ += rows_.back().size();
    number_ = number;
    checksum_ = checksum;
  }
  log.reset();
  if (number_ + 1 == end) {
    cut_off_last();
    notices_.push_back(fmt::format("row {} of the journal {}, the last one, was torn: cut off", end, path_));
  } else if (torn || number_ != end || end_checksum != view_of(checksum_)) {
    throw Damage(fmt::format("{} rows should be there, and {} are whole", end, number_));
  }
}

/// Cuts off one torn row at most, since only one can have been on its way to the disk in a crash.
void JournalFile::cut_off_last() {
  transaction([&] {
    sqlite::Statement(store_->database, "DELETE FROM log WHERE number > ?").bind(1, number_).run();
    store_->head->bind(1, number_).bind(2, view_of(checksum_)).run();
  });
}

std::vector<std::string> JournalFile::read() { return std::exchange(rows_, {}); }

void JournalFile::append(std::string_view row) {
  const std::uint64_t number = number_ + 1;
  const BlobId checksum = row_checksum(number, checksum_, row);
  transaction([&] {
    insert(number, checksum_, checksum, row);
    store_->head->bind(1, number).bind(2, view_of(checksum)).run();
    crash_point("journal.before_commit");
  });
  crash_point("journal.after_commit");
  number_ = number;
  checksum_ = checksum;
  bytes_ += row.size();
}

void JournalFile::rewrite(const std::vector<std::string>& rows) {
  std::uint64_t number = 0;
  BlobId last;
  std::uint64_t bytes = 0;
  transaction([&] {
    store_->database.run("DELETE FROM log");
    for (const std::string& row : rows) {
      const BlobId checksum = row_checksum(++number, last, row);
      insert(number, last, checksum, row);
      last = checksum;
      bytes += row.size();
    }
    store_->head->bind(1, number).bind(2, view_of(last)).run();
    crash_point("journal.rewriting");
  });
  number_ = number;
  checksum_ = last;
  bytes_ = bytes;
}

void JournalFile::insert(std::uint64_t number, const BlobId& previous, const BlobId& checksum,
                         std::string_view content) {
  store_->insert->bind(1, number)
      .bind(2, view_of(previous))
      .bind(3, view_of(checksum))
      .bind(4, content)
      .run();
}

template <class F>
void JournalFile::transaction(F&& changes) try {
  store_->database.run("BEGIN IMMEDIATE");
  changes();
  store_->database.run("COMMIT");
} catch (const sqlite::Error& error) {
  sqlite3* connection = store_->database.get();
  if (sqlite3_get_autocommit(connection) == 0)
    sqlite3_exec(connection, "ROLLBACK", nullptr, nullptr, nullptr);
  throw std::runtime_error(fmt::format("the journal {} cannot be written: {}", path_, error.what()));
}

}  // namespace weft::broker
