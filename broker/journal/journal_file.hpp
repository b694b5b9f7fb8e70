// SPDX-License-Identifier: MIT
// JournalFile: rows of bytes on disk, each durable when append() returns. The log is a SQLite database with
// a write-ahead log (WAL mode) and synchronous=FULL; a chain of checksums (journal_row.hpp) detects rows that
// differ from those written. One process can have a journal open at a time, and one thread uses it.
//
// After a crash the file has the rows whose append() returned, and perhaps the one that was being appended.
// The file does not shrink: space that rewrite() frees is used again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/ids.hpp"

namespace weft::broker {

namespace sqlite {
class Database;
}

class JournalFile {
 public:
  enum class Mode {
    normal,
    salvage,  // recover every whole row of a damaged journal; the damaged file stays, as <path>.damaged
  };

  /// Opens the journal `path`, or makes it, and checks every row. Throws std::runtime_error with a sentence:
  /// what is wrong, with which file, and what to do.
  explicit JournalFile(std::string path, Mode mode = Mode::normal);
  ~JournalFile();
  JournalFile(JournalFile&&) noexcept;
  JournalFile& operator=(JournalFile&&) = delete;

  /// Moves out the rows, in the order in which they were appended. REQUIRES: first call, before any append().
  std::vector<std::string> read();
  /// Findings from opening the journal that users should see, each a sentence.
  const std::vector<std::string>& notices() const { return notices_; }

  /// Appends a row, which is durable on return. Throws std::runtime_error with the reason; the row is then
  /// not stored, and a later append() may succeed.
  void append(std::string_view row);
  /// Replaces all rows by these, atomically and durably. Throws like append(), and has then changed nothing.
  void rewrite(const std::vector<std::string>& rows);

  /// Size of the content of all rows.
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Store;  // the connection and its statements

  void make();
  void open();
  void check_identity(const sqlite::Database& database) const;
  void load();
  void cut_off_last();
  void insert(std::uint64_t number, const BlobId& previous, const BlobId& checksum, std::string_view content);
  template <class F>
  void transaction(F&& changes);

  std::string path_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> rows_;  // until read()
  std::vector<std::string> notices_;
  std::uint64_t number_ = 0;  // of the last row
  BlobId checksum_;           // of the last row
  std::uint64_t bytes_ = 0;
};

}  // namespace weft::broker
