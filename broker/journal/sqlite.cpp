// SPDX-License-Identifier: MIT
#include "broker/journal/sqlite.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace weft::broker::sqlite {

Database::Database(const std::string& path) {
  sqlite3* connection = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  connection_.reset(connection);
  if (code != SQLITE_OK) fail(code);
}

void Database::fail(int code) const {
  const int reason = errno;  // SQLite loses its own copy (sqlite3_system_errno) when a commit fails
  std::string text = connection_ ? sqlite3_errmsg(connection_.get()) : sqlite3_errstr(code);
  const int kind = code & 0xff;
  if (reason != 0 && (kind == SQLITE_IOERR || kind == SQLITE_FULL || kind == SQLITE_CANTOPEN)) {
    text += fmt::format(" ({})", std::strerror(reason));
  }
  throw Error(code, text);
}

void Database::run(const char* sql) {
  errno = 0;
  const int code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void Database::checkpoint_on_close(bool wanted) {
  sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, wanted ? 0 : 1, nullptr);
}

Statement::Statement(const Database& database, std::string_view sql) : database_(&database) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(database.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  statement_.reset(statement);
  if (code != SQLITE_OK) database.fail(code);
}

Statement& Statement::bind(int index, std::uint64_t number) {
  sqlite3_bind_int64(statement_.get(), index, static_cast<sqlite3_int64>(number));
  return *this;
}

Statement& Statement::bind(int index, std::string_view blob) {
  // An empty view may have no address, which would bind NULL.
  const char* bytes = blob.empty() ? "" : blob.data();
  const int code = sqlite3_bind_blob64(statement_.get(), index, bytes, blob.size(), SQLITE_STATIC);
  if (code != SQLITE_OK) database_->fail(code);
  return *this;
}

bool Statement::step() {
  errno = 0;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->fail(code);
  return false;
}

void Statement::reset() {
  sqlite3_reset(statement_.get());  // returns the error of step() again
  sqlite3_clear_bindings(statement_.get());
}

void Statement::run() {
  try {
    step();
  } catch (...) {
    reset();
    throw;
  }
  reset();
}

std::uint64_t Statement::integer(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes ? std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size)) : "";
}

// Reads /proc/locks, since opening and closing the file would release this process's own POSIX locks on it.
std::string holder_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) < 0) return "another process";
  // "1: POSIX  ADVISORY  WRITE 4711 fe:00:123456 1073741826 1073742335"
  const std::string file =
      fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, pid, locked;
    if (!(words >> number >> kind >> mode >> access >> pid >> locked) || locked != file) continue;
    std::string name = "?";
    std::ifstream("/proc/" + pid + "/comm") >> name;
    return fmt::format("process {} ({})", pid, name);
  }
  return "another process";
}

}  // namespace weft::broker::sqlite
