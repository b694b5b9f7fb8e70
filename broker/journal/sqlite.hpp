// SPDX-License-Identifier: MIT
// The part of SQLite that the journal needs: a connection, a statement, and errors that say why.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weft::broker::sqlite {

/// SQLite's message, with the system's reason where there is one: "disk I/O error (File too large)".
class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& text) : std::runtime_error(text), code_(code & 0xff) {}
  /// SQLITE_FULL, SQLITE_BUSY ...
  int code() const { return code_; }

 private:
  int code_;
};

class Database {
 public:
  /// Opens an existing file, without reading it yet. Throws Error.
  explicit Database(const std::string& path);

  sqlite3* get() const { return connection_.get(); }
  /// Executes one or more statements and ignores their rows. Throws Error.
  void run(const char* sql);
  /// Whether closing the last connection checkpoints the write-ahead log into the database and removes it.
  void checkpoint_on_close(bool wanted);
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

/// A prepared statement. REQUIRES: the Database outlives it, and bound blobs live until reset(). Throws
/// Error.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);

  Statement& bind(int index, std::uint64_t number);
  Statement& bind(int index, std::string_view blob);
  /// Advances to the next row; false: there are no more rows.
  bool step();
  void reset();
  /// Executes the statement for its effect, and resets it.
  void run();

  bool is_integer(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
  }
  bool is_blob(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_BLOB; }
  std::uint64_t integer(int column) const;
  /// The bytes of a blob or a text column; valid until the next step() or reset().
  std::string_view blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// The process that has a lock on a file: "process 4711 (weft-broker)", or "another process" if unknown.
std::string holder_of(const std::string& path);

}  // namespace weft::broker::sqlite
