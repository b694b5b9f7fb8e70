// SPDX-License-Identifier: MIT
// RAII wrappers for the part of SQLite that the journal needs: a connection, a statement, and exceptions with
// the reason.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weft::broker::sqlite {

/// An error of SQLite, with the system's reason where there is one: "disk I/O error (File too large)".
class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& text) : std::runtime_error(text), code_(code & 0xff) {}
  /// The primary result code: SQLITE_FULL, SQLITE_BUSY ...
  int code() const { return code_; }

 private:
  int code_;
};

class Database {
 public:
  /// Opens an existing file. Its content is not read yet, so that a file of another kind is not noticed here.
  /// Throws Error.
  explicit Database(const std::string& path);

  sqlite3* get() const { return connection_.get(); }
  /// Executes one or more statements and ignores their rows. Throws Error.
  void run(const char* sql);
  /// Whether closing the last connection checkpoints the WAL into the database and removes the WAL.
  void checkpoint_on_close(bool wanted);
  /// Throws Error with the message of the connection.
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

/// A prepared statement; its functions throw Error. REQUIRES: the Database outlives the statement, and bound
/// blobs live until reset().
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);

  Statement& bind(int index, std::uint64_t number);
  Statement& bind(int index, std::string_view blob);
  /// Executes the statement up to its next row. False: there are no more rows.
  bool step();
  void reset();
  /// Executes a statement that returns no rows, and resets it.
  void run();

  bool is_integer(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
  }
  bool is_blob(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_BLOB; }
  std::uint64_t integer(int column) const;
  /// The bytes of a blob or text column; valid until the next step() or reset().
  std::string_view blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// The process that has a lock on a file, for people: "process 4711 (weft-broker)", "another process".
std::string holder_of(const std::string& path);

}  // namespace weft::broker::sqlite
