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

/// What went wrong, with the system's reason where there is one: "disk I/O error (File too large)".
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
  /// Opens a file that exists. Whatever it is: nothing is read yet.
  explicit Database(const std::string& path);

  sqlite3* get() const { return connection_.get(); }
  /// One or more statements, whose rows are of no interest.
  void run(const char* sql);
  /// Whether the last connection that closes brings what is in the WAL home, and removes it.
  void checkpoint_on_close(bool wanted);
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

/// REQUIRES: the Database outlives it, and what is bound lives until reset().
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);

  Statement& bind(int index, std::uint64_t number);
  Statement& bind(int index, std::string_view blob);
  /// True: there is a row.
  bool step();
  void reset();
  /// Executes it for its effect.
  void run();

  bool is_integer(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
  }
  bool is_blob(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_BLOB; }
  std::uint64_t integer(int column) const;
  /// Of a blob or a text; lives until the next step.
  std::string_view blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Who has a lock on a file: "process 4711 (weft-broker)", "another process".
std::string holder_of(const std::string& path);

}  // namespace weft::broker::sqlite
