// SPDX-License-Identifier: MIT
// JournalFile: a write-ahead log of rows of bytes, each durable when append() returns. The file is a SQLite
// database in WAL mode with synchronous=FULL; a chain of checksums (journal_row.hpp) detects damage. One
// process opens the file at a time, and one thread uses it.
//
// After a crash the journal has the rows whose append() returned, and perhaps the row that was being
// appended. The file does not shrink: later rows use the space that rewrite() frees.
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
    salvage,  // copies the whole rows of a damaged journal to a new one; the old file becomes <path>.damaged
  };

  /// Opens the journal `path`, or creates it, and checks every row. Throws std::runtime_error with a sentence
  /// for people: what is wrong, with which file, and what to do.
  explicit JournalFile(std::string path, Mode mode = Mode::normal);
  ~JournalFile();
  JournalFile(JournalFile&&) noexcept;
  JournalFile& operator=(JournalFile&&) = delete;

  /// Removes and returns the rows, in the order in which they were appended. REQUIRES: called once, before
  /// the first append.
  std::vector<std::string> read();
  /// Findings while opening the journal, each a sentence for people: what was cut off or salvaged.
  const std::vector<std::string>& notices() const { return notices_; }

  /// Appends a row, which is durable on return. Throws std::runtime_error with the reason; then the journal
  /// does not have the row, and the next append may succeed.
  void append(std::string_view row);
  /// Replaces all rows by `rows`, atomically and durably. Throws like append(); then the journal is
  /// unchanged.
  void rewrite(const std::vector<std::string>& rows);

  /// Bytes of the content of all rows.
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
  std::vector<std::string> rows_;  // read when opened; moved out by read()
  std::vector<std::string> notices_;
  std::uint64_t number_ = 0;  // of the last row
  BlobId checksum_;           // of the last row
  std::uint64_t bytes_ = 0;
};

}  // namespace weft::broker
