// SPDX-License-Identifier: MIT
// JournalFile: rows of bytes on disk, each durable when append() returns. A SQLite database in WAL mode
// with synchronous=FULL is the log; a chain of checksums (journal_row.hpp) tells whether what is read is
// what was written. One process has it at a time, and one thread uses it.
//
// After a crash the rows are those whose append() returned, and perhaps the one that was being appended.
// The file does not shrink: what rewrite() frees is used again.
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
    salvage,  // of a damaged one, keep every row that is whole; the damaged file stays, as <path>.damaged
  };

  /// Opens `path`, or makes it, and checks every row. Throws std::runtime_error with a sentence: what is
  /// wrong, with which file, and what to do.
  explicit JournalFile(std::string path, Mode mode = Mode::normal);
  ~JournalFile();
  JournalFile(JournalFile&&) noexcept;
  JournalFile& operator=(JournalFile&&) = delete;

  /// The rows, in the order in which they were appended. Once, before the first append.
  std::vector<std::string> read();
  /// What opening it has shown that people should know, each a sentence.
  const std::vector<std::string>& notices() const { return notices_; }

  /// The row is durable on return. Throws std::runtime_error with the reason; then it is not kept, and a
  /// later one may well be.
  void append(std::string_view row);
  /// These rows instead of all others, at once and durably. Throws like append; then all is as it was.
  void rewrite(const std::vector<std::string>& rows);

  /// Of all rows.
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
